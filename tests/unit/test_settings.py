"""Settings from a file and the environment."""

import pytest

from threadmill.endpoint import Endpoint, EndpointKind
from threadmill.errors import SettingsError
from threadmill.settings import Settings, find_config


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
    assert settings.endpoints["emulator"].plugins


def test_without_an_endpoint_of_ones_own_a_job_must_name_one():
    with pytest.raises(SettingsError, match=r"no endpoint is configured. Set DAVINCI_API_KEY"):
        Settings.load().endpoint_name(None)
    assert Settings.load().endpoint_name("emulator") == "emulator"


def test_a_davinci_key_alone_gives_its_endpoint(monkeypatch):
    monkeypatch.setenv("DAVINCI_API_KEY", "sk-1")
    settings = Settings.load()

    davinci = settings.endpoints["davinci"]
    assert davinci.base_url == "https://prod.dvcbot.net/api/assts/v1"
    assert (davinci.kind, davinci.plugins, davinci.api_key_env) == (EndpointKind.DAVINCI, True, "DAVINCI_API_KEY")
    assert settings.endpoint_name(None) == "davinci"
    assert "sk-1" not in repr(settings)


def test_an_endpoint_named_like_a_kind_need_not_say_so(here):
    assert written(here, DAVINCI).endpoints["davinci"].base_url.startswith("https://prod.dvcbot.net")


def test_what_is_given_wins_over_what_a_kind_takes_for_granted(here):
    text = '[endpoints.mine]\nkind = "davinci"\nbase_url = "http://gateway/v1"\nplugins = false\nreruns = 0\n'
    endpoint = written(here, text).endpoints["mine"]

    assert (endpoint.base_url, endpoint.plugins, endpoint.reruns) == ("http://gateway/v1", False, 0)
    assert endpoint.time_note


def test_the_environment_wins_over_the_file(here, monkeypatch):
    monkeypatch.setenv("THREADMILL_LEASE_S", "5")
    monkeypatch.setenv("THREADMILL_ENDPOINTS__DAVINCI__ASSISTANT", "asst_theirs")
    settings = written(here, f"lease_s = 60\nconcurrency = 7\n{DAVINCI}")

    assert (settings.lease_s, settings.concurrency) == (5, 7)
    assert settings.endpoints["davinci"].assistant == "asst_theirs"


@pytest.mark.parametrize("variable", ["THREADMILL_REDIS_URL", "REDIS_URL"])
def test_redis_is_found_by_either_variable(monkeypatch, variable):
    monkeypatch.setenv(variable, "redis://elsewhere/1")
    assert Settings.load().redis_url == "redis://elsewhere/1"


def test_our_own_variable_comes_first(monkeypatch):
    monkeypatch.setenv("REDIS_URL", "redis://theirs/1")
    monkeypatch.setenv("THREADMILL_REDIS_URL", "redis://ours/1")
    assert Settings.load().redis_url == "redis://ours/1"


def test_the_file_is_looked_for_in_three_places(here, monkeypatch):
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
        ("leese_s = 5", "unknown field `leese_s`"),
        ("lease_s = 0", "`lease_s`: "),
        ('default_endpoint = "davinci"', "default_endpoint is 'davinci', but the endpoints are emulator"),
        ('[endpoints.x]\nkind = "assistants"', "`endpoints.x.base_url`: "),
        ('[endpoints.x]\nkind = "gemini"\nbase_url = "http://x"', "`endpoints.x.kind`: "),
        ('[endpoints.x]\nkind = "assistants"\nbase_url = "ftp://x"', "`endpoints.x.base_url`: "),
        ('[endpoints.x]\nkind = "assistants"\nbase_url = "http://x"\napi_key = "sk-1"', "`endpoints.x.api_key`"),
        ('[tools]\nweather = "no colon"', "`tools.weather.function`: "),
        ("lease_s = ", "cannot read the settings"),
    ],
)
def test_a_mistake_is_told_with_its_place(here, text, says):
    with pytest.raises(SettingsError) as told:
        written(here, text)
    assert says in str(told.value)
    assert "threadmill.toml" in str(told.value)
    assert "sk-1" not in str(told.value), "a key that should not be there is not shown either"


def test_a_variable_that_is_no_json_is_told(monkeypatch):
    monkeypatch.setenv("THREADMILL_ENDPOINTS", "{")
    with pytest.raises(SettingsError, match=r"cannot read the settings from the environment: .*endpoints"):
        Settings.load()


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


def test_a_missing_key_is_told_by_the_variables_name(monkeypatch):
    endpoint = Endpoint.model_validate({"kind": "assistants", "base_url": "http://x", "api_key_env": "X_KEY"})
    settings = Settings(endpoints={"x": endpoint})
    with pytest.raises(SettingsError, match="endpoint 'x' needs its key in X_KEY, which is not set: export X_KEY="):
        settings.require_key("x")
    monkeypatch.setenv("X_KEY", "sk-1")
    settings.require_key("x")


def test_settings_do_not_change():
    with pytest.raises(ValueError, match="frozen"):
        Settings.load().lease_s = 1
