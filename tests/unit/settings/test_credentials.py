"""Secrets of the environment: fit to be sent, or refused by their variable's name."""

import logging
from functools import partial

import pytest

from threadmill import Client, Settings
from threadmill.errors import SettingsError, ThreadmillError
from threadmill.job.result import Failure
from threadmill.secrets.redaction import redact
from threadmill.settings import credentials
from threadmill.settings.endpoints.endpoint import Endpoint
from threadmill_worker.attempt.context.contexts import Contexts

SECRET = "sk-of-the-endpoint"
UNFIT = {
    "a line end at position 5": "sk-1\n2-rest",
    "a character outside of ASCII at position 3": "sk\u200b-zero-width",
    "a character outside of ASCII at position 7": "sk-café-",
    "a control character at position 4": "sk-\x1b[0m-rest",
}


@pytest.fixture(autouse=True)
def _fresh_warnings():
    credentials._warn_of_whitespace.cache_clear()


@pytest.fixture
def settings(monkeypatch, make_settings):
    def with_key(value: str) -> Settings:
        monkeypatch.setenv("TEST_KEY", value)
        return make_settings("http://127.0.0.1:9", {"api_key_env": "TEST_KEY"})

    return with_key


@pytest.mark.parametrize("end", ["\n", "\r\n", " ", "\t"])
def test_whitespace_around_a_key_is_ignored_with_a_warning(monkeypatch, caplog, end):
    monkeypatch.setenv("TEST_KEY", SECRET + end)
    endpoint = Endpoint(kind="emulator", api_key_env="TEST_KEY")
    with caplog.at_level(logging.WARNING):
        assert [endpoint.read_key(), endpoint.read_key()] == [SECRET, SECRET]

    assert [record.getMessage() for record in caplog.records] == [
        "the value of TEST_KEY begins or ends with whitespace, which is ignored; remove it"
    ]


@pytest.mark.parametrize("problem", UNFIT)
def test_a_key_that_cannot_be_sent_is_refused_by_its_variable(settings, problem):
    unfit = settings(UNFIT[problem])
    for refused in (
        unfit.check_keys,
        partial(unfit.require_key, "emulator"),
        partial(Contexts, unfit, None, None, None),
        partial(Client(unfit).enqueue, "Well?"),
    ):
        with pytest.raises(SettingsError) as told:
            refused()
        assert str(told.value).startswith(f"endpoint 'emulator': the value of TEST_KEY has {problem}")
        assert not any(part in repr(told.value) for part in ("sk-", "rest", "zero", "caf"))


def test_a_blank_key_is_a_missing_one(settings):
    assert settings("\n").endpoints["emulator"].missing_key() == "TEST_KEY"


def test_an_endpoint_with_several_keys_needs_all_of_them(monkeypatch, make_settings):
    settings = make_settings("http://127.0.0.1:9", {"api_key_envs": ["KEY_1", "KEY_2"]})
    endpoint = settings.endpoints["emulator"]
    assert (endpoint.key_variables, endpoint.missing_key()) == (("KEY_1", "KEY_2"), "KEY_1")
    monkeypatch.setenv("KEY_1", "sk-of-the-first")
    with pytest.raises(SettingsError, match="needs its key in KEY_2, which is not set"):
        settings.require_key("emulator")
    monkeypatch.setenv("KEY_2", "sk-of-the-second")
    settings.require_key("emulator")

    assert (endpoint.read_key(), endpoint.read_key("KEY_2")) == ("sk-of-the-first", "sk-of-the-second")
    assert {"KEY_1", "KEY_2"} <= settings.secret_variables
    assert redact("sk-of-the-second") == "[key]"


def test_settings_know_every_secret_they_name(monkeypatch, make_settings):
    variables = ("ENDPOINT_KEY", "HEADER_KEY", "MCP_KEY", "MCP_HEADER_KEY")
    for name in variables:
        monkeypatch.setenv(name, f"secret-in-{name}")
    make_settings(
        "http://me:s3cret-of-gateway@127.0.0.1:9",
        {"api_key_env": "ENDPOINT_KEY"},
        redis_url="redis://:s3cret-of-redis@127.0.0.1:9/0",
        tools={"t": {"url": "http://x/", "parameters": {"type": "object"}, "headers_env": {"X-Key": "HEADER_KEY"}}},
        mcp={
            "a": {"command": ["x"], "env": ["MCP_KEY"]},
            "b": {"url": "http://x/", "headers_env": {"X-Key": "MCP_HEADER_KEY"}},
        },
    )
    for secret in (*(f"secret-in-{name}" for name in variables), "s3cret-of-gateway", "s3cret-of-redis"):
        assert redact(secret) == "[key]"


def test_failures_and_errors_hold_no_secret(monkeypatch):
    monkeypatch.setenv("TEST_KEY", SECRET)
    credentials.read("TEST_KEY")

    assert Failure(kind="rejected", message=f"no {SECRET}", code=SECRET).message == "no [key]"
    assert Failure(kind="rejected", message="", code=SECRET).code == "[key]"
    assert SECRET not in repr(ThreadmillError(f"no {SECRET}"))


def test_a_prompt_carries_no_secret_of_this_process_into_redis(settings, store):
    client = Client(settings(SECRET))
    job = {"prompt": f"Why does {SECRET} not work?", "metadata": {"file": SECRET}, "assistant": "asst_1"}
    handle = client.enqueue(job | {"key": "once"})

    kept = handle.get().job
    assert (kept.prompt, kept.metadata, kept.assistant) == ("Why does [key] not work?", {"file": "[key]"}, "asst_1")
    assert SECRET not in str(store.hgetall(f"{client.settings.key_prefix}:job:{handle.id}"))
    assert client.enqueue(job | {"key": "once"}).id == handle.id
