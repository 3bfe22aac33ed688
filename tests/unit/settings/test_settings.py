"""Settings from a file and the environment."""

import pytest

from threadmill.errors import SettingsError
from threadmill.settings.config_file import find_config
from threadmill.settings.endpoints.endpoint import Endpoint, EndpointKind
from threadmill.settings.settings import Settings


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(here, text: str) -> Settings:
    (here / "threadmill.toml").write_text(text)
    return Settings.load()


DAVINCI = '[endpoints.davinci]\nassistant = "asst_mine"\n'


def test_with_nothing_set_there_is_the_emulator_alone():
    settings = Settings.load()

    assert list(settings.endpoints) == ["emulator"]
    assert settings.redis_url == "redis://localhost:6379/0"
    assert settings.endpoints["emulator"].supports.plugins


def test_without_an_endpoint_of_ones_own_a_job_must_name_one():
    with pytest.raises(SettingsError, match=r"no endpoint is configured. Set DAVINCI_API_KEY"):
        Settings.load().endpoint_name(None)
    assert Settings.load().endpoint_name("emulator") == "emulator"


def test_a_davinci_key_alone_gives_its_endpoint(monkeypatch):
    monkeypatch.setenv("DAVINCI_API_KEY", "sk-1")
    settings = Settings.load()

    davinci = settings.endpoints["davinci"]
    assert davinci.base_url == "https://prod.dvcbot.net/api/assts/v1"
    assert (davinci.kind, davinci.supports.plugins, davinci.api_key_env) == (
        EndpointKind.DAVINCI,
        True,
        "DAVINCI_API_KEY",
    )
    assert settings.endpoint_name(None) == "davinci"
    assert "sk-1" not in repr(settings)


def test_an_endpoint_named_like_a_kind_need_not_say_so(here):
    assert written(here, DAVINCI).endpoints["davinci"].base_url.startswith("https://prod.dvcbot.net")


def test_what_is_given_wins_over_what_a_kind_takes_for_granted(here):
    fields = 'kind = "davinci"\nbase_url = "http://gateway/v1"\nmax_reruns = 0\nsupports = { plugins = false }\n'
    endpoint = written(here, f"[endpoints.mine]\n{fields}").endpoints["mine"]

    assert (endpoint.base_url, endpoint.supports.plugins, endpoint.max_reruns) == ("http://gateway/v1", False, 0)
    assert endpoint.current_time_note


def test_the_environment_wins_over_the_file(here, monkeypatch):
    monkeypatch.setenv("THREADMILL_LEASE_S", "5")
    monkeypatch.setenv("THREADMILL_ENDPOINTS__DAVINCI__ASSISTANT", "asst_theirs")
    settings = written(here, f"lease_s = 60\nconcurrency = 7\n{DAVINCI}")

    assert (settings.lease_s, settings.concurrency) == (5, 7)
    assert settings.endpoints["davinci"].assistant == "asst_theirs"


@pytest.mark.parametrize(("line", "processes"), [("", 1), ("processes = 4", 4), ('processes = "auto"', "auto")])
def test_the_number_of_processes_may_follow_the_cores(here, line, processes):
    assert written(here, line).processes == processes


@pytest.mark.parametrize("wrong", ["0", "many", "1.5"])
def test_a_wrong_number_of_processes_names_the_variable(monkeypatch, wrong):
    monkeypatch.setenv("THREADMILL_PROCESSES", wrong)
    with pytest.raises(SettingsError, match=r'`processes`: must be .* at least 1, or "auto".* THREADMILL_PROCESSES'):
        Settings.load()


@pytest.mark.parametrize("variable", ["THREADMILL_REDIS_URL", "REDIS_URL"])
def test_redis_is_found_by_either_variable(monkeypatch, variable):
    monkeypatch.setenv(variable, "redis://elsewhere/1")
    assert Settings.load().redis_url == "redis://elsewhere/1"


def test_our_own_variable_comes_first(monkeypatch):
    monkeypatch.setenv("REDIS_URL", "redis://theirs/1")
    monkeypatch.setenv("THREADMILL_REDIS_URL", "redis://ours/1")
    assert Settings.load().redis_url == "redis://ours/1"


def test_the_file_is_searched_in_three_folders(here, monkeypatch):
    assert find_config() is None
    user = here / "config" / "threadmill" / "threadmill.toml"
    user.parent.mkdir(parents=True)
    user.write_text("")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(here / "config"))
    assert find_config() == user
    (here / "threadmill.toml").write_text("")
    assert find_config() == here / "threadmill.toml"
    named = here / "other.toml"
    named.write_text("")
    monkeypatch.setenv("THREADMILL_CONFIG", str(named))
    assert find_config() == named


def test_a_named_file_that_is_missing_is_an_error(monkeypatch):
    monkeypatch.setenv("THREADMILL_CONFIG", "/no/such.toml")
    with pytest.raises(SettingsError, match=r"THREADMILL_CONFIG names /no/such.toml, which is not a file"):
        Settings.load()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("leese_s = 5", "unknown field `leese_s` (did you mean `lease_s`?)"),
        ("lease_s = 0", "`lease_s`: "),
        ('default_endpoint = "davinci"', "default_endpoint is 'davinci', but the endpoints are emulator"),
        ('[endpoints.x]\nkind = "assistants"', "`endpoints.x.base_url`: "),
        ('[endpoints.x]\nkind = "gemini"\nbase_url = "http://x"', "`endpoints.x.kind`: "),
        ('[endpoints.x]\nkind = "assistants"\nbase_url = "ftp://x"', "`endpoints.x.base_url`: "),
        ('[endpoints.x]\nkind = "assistants"\nbase_url = "http://x"\napi_key = "sk-1"', "`endpoints.x.api_key`"),
        ('[tools]\nweather = "no colon"', "`tools.weather.function`: "),
        ("lease_s = ", "threadmill.toml is not valid TOML: "),
    ],
)
def test_a_mistake_is_reported_with_its_position(here, text, says):
    with pytest.raises(SettingsError) as told:
        written(here, text)
    assert says in str(told.value)
    assert "threadmill.toml" in str(told.value)
    assert "sk-1" not in str(told.value), "a key that should not be there is not shown either"


def test_a_missing_default_endpoint_is_not_reported_as_a_job(here):
    with pytest.raises(SettingsError) as raised:
        written(here, 'default_endpoint = "davinci"')
    assert str(raised.value).startswith("default_endpoint is 'davinci', but the endpoints are emulator; add [endpoints")


def test_a_variable_that_is_not_json_is_named(here, monkeypatch):
    (here / "threadmill.toml").write_text("lease_s = 5\n")
    monkeypatch.setenv("THREADMILL_ENDPOINTS", "{")
    with pytest.raises(SettingsError, match=r"^THREADMILL_ENDPOINTS is not valid JSON: write a list as "):
        Settings.load()


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("THREADMILL_LEASE_S", "0", "`lease_s`: Input should be greater than 0"),
        ("THREADMILL_ENDPOINTS__DAVINCI__ASISTANT", "x", "unknown field `endpoints.davinci.asistant`"),
        ("REDIS_URL", "localhost", "`redis_url`: is not a URL"),
    ],
)
def test_an_error_names_the_variable_with_the_value_and_not_the_file(here, monkeypatch, variable, value, says):
    (here / "threadmill.toml").write_text("concurrency = 5\n")
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as raised:
        Settings.load()
    assert says in str(raised.value)
    assert str(raised.value).endswith(f"(settings from {variable})")


@pytest.mark.parametrize(
    ("variable", "closest"),
    [
        ("THREADMILL_LEESE_S", " (did you mean THREADMILL_LEASE_S?)"),
        ("threadmill_leese_s", " (did you mean THREADMILL_LEASE_S?)"),
        ("THREADMILL_ENDPOINT__DAVINCI__ASSISTANT", " (did you mean THREADMILL_ENDPOINTS?)"),
        ("THREADMILL_LEASE_S__MAX", " (did you mean THREADMILL_LEASE_S?)"),
        ("THREADMILL_XYZZY", ""),
    ],
)
def test_an_unknown_variable_is_an_error_that_names_the_closest_setting(monkeypatch, variable, closest):
    monkeypatch.setenv(variable, "5")
    with pytest.raises(SettingsError) as raised:
        Settings.load()
    assert str(raised.value) == f"unknown variable {variable}{closest}: correct or unset it"


@pytest.mark.parametrize(
    "variable",
    [
        "THREADMILL_LOG",
        "THREADMILL_SERVICE_HOST",
        "THREADMILL_PORT",
        "THREADMILL_REDIS_SERVICE_PORT_TCP_REDIS",
        "THREADMILL_REDIS_PORT_6379_TCP_ADDR",
    ],
)
def test_variables_that_are_not_settings_are_ignored(monkeypatch, variable):
    """Kubernetes sets those of a service named `threadmill`, `threadmill-redis` and the like."""
    monkeypatch.setenv(variable, "tcp://10.0.0.1:6379")
    assert Settings.load() == Settings()


def test_an_unreadable_file_is_reported_in_one_line(here, monkeypatch):
    (here / "threadmill.toml").write_text("")

    def refuse(self, *args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", refuse)
    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(SettingsError, match=r"threadmill.toml cannot be read: Permission denied$"):
        Settings.load()


RENAMED = {
    "redis_patience_s": "redis_outage_tolerance_s",
    "stall_s": "idle_restart_s",
    "leftover_tries": "cleanup_attempts",
    "sweep_s": "sweep_interval_s",
    "artifact_limit": "artifact_limit_bytes",
}
RENAMED_OF_AN_ENDPOINT = {
    "time_note": "current_time_note",
    "time_zone": "current_time_zone",
    "busy_thread": "on_locked_thread",
    "unreachable_s": "unreachable_limit_s",
    "reruns": "max_reruns",
    "tool_rounds": "max_tool_rounds",
    "poll_first_s": "first_poll_s",
    "poll_longest_s": "max_poll_interval_s",
    "store_limit_s": "indexing_limit_s",
    "image_limit": "image_limit_bytes",
    "file_limit": "file_limit_bytes",
    "tool_output_limit": "tool_output_limit_chars",
    "lane_wait_s": "batch_lane_wait_s",
    "lane_jobs": "batch_lane_max_jobs",
    "lane_limit_s": "batch_lane_limit_s",
    "ad_token": "entra_auth",
    "cancels": "supports.cancel",
    "expires_after": "supports.upload_expiry",
    "files": "supports.files",
    "lists_responses": "supports.list_responses",
    "store": "supports.stored_responses",
}


@pytest.mark.parametrize(
    ("table", "old", "new"),
    [
        *(("", old, new) for old, new in RENAMED.items()),
        *(("endpoints.emulator.", old, new) for old, new in RENAMED_OF_AN_ENDPOINT.items()),
        ("endpoints.emulator.supports.", "file", "files"),
    ],
)
def test_an_unknown_setting_is_an_error_that_names_the_one_meant(here, monkeypatch, table, old, new):
    with pytest.raises(SettingsError) as raised:
        written(here, f"{table}{old} = 1\n")
    assert f"unknown field `{table}{old}` (did you mean `{table}{new}`?)" in str(raised.value)


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_a_renamed_variable_is_an_error_that_names_the_new_one(monkeypatch, old, new):
    monkeypatch.setenv(f"THREADMILL_{old.upper()}", "1")
    with pytest.raises(SettingsError, match=rf"\(did you mean THREADMILL_{new.upper()}\?\)"):
        Settings.load()


def test_the_features_of_a_server_are_merged_by_field(here, monkeypatch):
    """The defaults of the kind, then the file, then the environment."""
    monkeypatch.setenv("THREADMILL_ENDPOINTS__DAVINCI__SUPPORTS__CANCEL", "false")
    supports = written(here, f"{DAVINCI}supports = {{ files = true }}\n").endpoints["davinci"].supports

    assert (supports.cancel, supports.files, supports.plugins, supports.streaming) == (False, True, True, True)


def test_a_tool_is_a_function_or_a_table(here):
    settings = written(here, '[tools]\na = "m:f"\nb = { function = "m:g", timeout_s = 3 }\n')
    assert (settings.tools["a"].function, settings.tools["a"].timeout_s) == ("m:f", None)
    assert (settings.tools["b"].function, settings.tools["b"].timeout_s) == ("m:g", 3)


def test_which_endpoint_a_job_goes_to(here):
    two = '[endpoints.{}]\nkind = "assistants"\nbase_url = "http://x"\n'
    one = written(here, two.format("a"))
    assert one.endpoint_name(None) == "a"
    both = written(here, two.format("a") + two.format("b"))
    with pytest.raises(SettingsError, match="which endpoint\\? There are a, b: name one, or set default_endpoint"):
        both.endpoint_name(None)
    chosen = written(here, 'default_endpoint = "b"\n' + two.format("a") + two.format("b"))
    assert chosen.endpoint_name(None) == "b"
    with pytest.raises(SettingsError, match=r"there is no endpoint 'c'.*Add \[endpoints.c\] to threadmill.toml"):
        chosen.endpoint_name("c")


def test_a_missing_key_is_reported_with_its_variable(monkeypatch):
    endpoint = Endpoint.model_validate({"kind": "assistants", "base_url": "http://x", "api_key_env": "X_KEY"})
    settings = Settings(endpoints={"x": endpoint})
    with pytest.raises(SettingsError, match="endpoint 'x' needs its key in X_KEY, which is not set: export X_KEY="):
        settings.require_key("x")
    monkeypatch.setenv("X_KEY", "sk-1")
    settings.require_key("x")


def test_settings_do_not_change():
    with pytest.raises(ValueError, match="frozen"):
        Settings.load().lease_s = 1


def test_only_servers_with_the_responses_api_send_webhooks():
    endpoint = {"kind": "responses", "model": "m", "webhook_secret_env": "HOOK_SECRET"}
    settings = Settings.model_validate({"endpoints": {"openai": endpoint}})
    assert "HOOK_SECRET" in settings.secret_variables
    with pytest.raises(ValueError, match="only servers with the Responses API send webhooks"):
        Settings.model_validate({"endpoints": {"davinci": {"kind": "davinci", "webhook_secret_env": "HOOK_SECRET"}}})
