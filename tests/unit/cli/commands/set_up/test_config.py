"""`threadmill config show`: what is set, by what, and nothing secret."""

import json

import pytest
from typer.testing import CliRunner

from threadmill_cli import app

TOML = """
lease_s = 20
default_endpoint = "davinci"

[endpoints.davinci]
assistant = "asst_mine"

[tools]
stock = "shop.tools:stock"

[tools.weather]
url = "https://weather.example/{city}?key=s3cret"
parameters = { type = "object", properties = { city = { type = "string" } }, required = ["city"] }
headers = { X-Key = "s3cret" }
headers_env = { X-Other = "WEATHER_KEY" }

[mcp.files]
command = ["uvx", "server", "--token=s3cret"]
env = ["FILES_KEY"]

[profiles.writer]
model = "m"
instructions = "See https://example.org/a?b=c"
"""


@pytest.fixture
def show(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(*options, toml=None, **variables):
        if toml is not None:
            (tmp_path / "threadmill.toml").write_text(toml)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        done = CliRunner().invoke(app, ["config", "show", *options])
        assert done.exit_code == 0, done.output
        return done.stdout

    return run


def as_table(output):
    return {each["name"]: (each["value"], each["origin"]) for each in json.loads(output)["settings"]}


def test_each_setting_has_its_origin(show, tmp_path):
    file = str(tmp_path / "threadmill.toml")
    shown = as_table(
        show(
            "--json",
            toml=TOML,
            REDIS_URL="redis://h/1",
            THREADMILL_SWEEP_INTERVAL_S="2",
            THREADMILL_ENDPOINTS__DAVINCI__MODEL="m2",
            THREADMILL_ENDPOINTS__DAVINCI__SUPPORTS__CANCEL="false",
            THREADMILL_ENDPOINTS__DAVINCI__LIMITS__CONCURRENT="50",
            THREADMILL_PRICES='{"gpt": {"prompt": 1, "completion": 2}}',
        )
    )
    assert shown["redis_url"] == ("redis://h/1", "REDIS_URL")
    assert shown["lease_s"] == (20, file)
    assert shown["sweep_interval_s"] == (2, "THREADMILL_SWEEP_INTERVAL_S")
    assert shown["queue"] == ("threadmill", "default")
    assert shown["endpoints.davinci.assistant"] == ("asst_mine", file)
    assert shown["endpoints.davinci.model"] == ("m2", "THREADMILL_ENDPOINTS__DAVINCI__MODEL")
    assert shown["endpoints.davinci.supports.plugins"] == (True, "default of kind davinci")
    assert shown["endpoints.davinci.supports.cancel"] == (False, "THREADMILL_ENDPOINTS__DAVINCI__SUPPORTS__CANCEL")
    assert shown["endpoints.davinci.limits.concurrent"] == (50, "THREADMILL_ENDPOINTS__DAVINCI__LIMITS__CONCURRENT")
    assert shown["endpoints.davinci.limits.learn"] == (True, "default")
    assert shown["endpoints.davinci.supports.streaming"] == (True, "default")
    assert shown["endpoints.davinci.max_reruns"] == (2, "default")
    assert shown["tools.stock.function"] == ("shop.tools:stock", file)
    assert shown["prices.gpt.prompt"] == (1, "THREADMILL_PRICES")
    assert shown["prices.currency"] == ("USD", "default")
    assert shown["profiles.writer.instructions"] == ("See https://example.org/a?b=c", file)


def test_our_variable_wins_over_the_common_one(show):
    shown = as_table(show("--json", REDIS_URL="redis://a", THREADMILL_REDIS_URL="redis://b"))
    assert shown["redis_url"] == ("redis://b", "THREADMILL_REDIS_URL")


def test_a_base_url_from_the_providers_variable_says_so(show):
    shown = as_table(show("--json", OPENAI_API_KEY="sk-1", OPENAI_BASE_URL="http://u:s3cret@gateway/v1"))
    assert shown["endpoints.openai.base_url"] == ("http://gateway/v1", "OPENAI_BASE_URL")


@pytest.mark.parametrize("options", [(), ("--all",), ("--json",)])
def test_no_secret_is_shown(show, options):
    shown = show(*options, toml=TOML, REDIS_URL="redis://:s3cret@h/0", DAVINCI_API_KEY="s3cret")
    assert "s3cret" not in shown
    assert "X-Key" in shown


def test_keys_are_set_or_not(show):
    shown = show(toml=TOML, DAVINCI_API_KEY="sk-1").splitlines()
    assert "# DAVINCI_API_KEY: set" in shown
    assert "# WEATHER_KEY: not set" in shown
    assert "# FILES_KEY: not set" in shown
    assert json.loads(show("--json"))["variables"] == {
        "DAVINCI_API_KEY": True,
        "FILES_KEY": False,
        "WEATHER_KEY": False,
    }


def test_the_text_leaves_out_defaults_unless_asked(show):
    assert "endpoints.davinci.max_reruns" not in show(toml=TOML)
    assert "endpoints.davinci.max_reruns = 2" in show("--all")


def test_a_setting_that_is_wrong_is_reported_in_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("THREADMILL_LEESE_S", "5")
    done = CliRunner().invoke(app, ["config", "show"])
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == (
        "threadmill: unknown variable THREADMILL_LEESE_S (did you mean THREADMILL_LEASE_S?): correct or unset it\n"
    )
