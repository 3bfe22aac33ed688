"""The limits of endpoints, and the pools that jobs may use."""

from typing import Any

import pytest

from threadmill.errors import SettingsError
from threadmill.job.prompt import PromptJob
from threadmill.settings.endpoints.endpoint import Endpoint
from threadmill.settings.endpoints.limits import PoolLimits
from threadmill.settings.endpoints.pool_name import Pool, pool_name
from threadmill.settings.pools import limits_of, pools_of
from threadmill.settings.settings import Settings

ASSISTANTS = {"kind": "assistants", "base_url": "http://x", "assistant": "asst_1"}
RESPONSES = {"kind": "responses", "api_key_env": "KEY"}


def settings(**endpoints: dict[str, Any]) -> Settings:
    return Settings(default_endpoint=next(iter(endpoints)), endpoints=endpoints)


def pools(job: dict[str, Any] | None = None, **endpoints: dict[str, Any]) -> tuple[str, ...]:
    return pools_of(settings(**endpoints), PromptJob.parse({"prompt": "x"} | (job or {})))


def test_an_endpoint_without_limits_has_one_pool():
    assert pools(a=ASSISTANTS) == ("a",)


def test_a_server_of_responses_limits_each_model_unless_the_settings_say_otherwise():
    assert pools({"model": "gpt-4o"}, a=RESPONSES) == ("a/gpt-4o",)
    assert pools(a=RESPONSES) == ("a",), "the model is unknown"
    assert pools(a=RESPONSES | {"model": "m"}) == ("a/m",)
    assert pools({"model": "m"}, a=RESPONSES | {"limits": {"per_model": False}}) == ("a",)
    assert pools({"model": "m"}, a=RESPONSES | {"limits": {"concurrent": 5}}) == ("a/m",), "the default of the kind"
    assert pools({"model": "m"}, a=ASSISTANTS) == ("a",)


def test_a_model_with_limits_of_its_own_has_a_pool_of_its_own():
    endpoint = ASSISTANTS | {"limits": {"requests_per_minute": 60, "models": {"big": {"concurrent": 2}}}}
    assert pools({"model": "big"}, a=endpoint) == ("a/big",)
    assert pools({"model": "small"}, a=endpoint) == ("a",)

    known = settings(a=endpoint)
    assert limits_of(known, "a/big") == PoolLimits(requests_per_minute=60, concurrent=2)
    assert limits_of(known, "a") == PoolLimits(requests_per_minute=60)
    assert limits_of(known, "another") == PoolLimits()


def test_each_of_several_keys_has_its_own_pool():
    assert pools(a=ASSISTANTS | {"api_key_envs": ["K1", "K2"]}) == ("a@K1", "a@K2")
    assert pools(a=ASSISTANTS | {"api_key_envs": ["K1"]}) == ("a",)
    assert pools({"model": "m"}, a={"kind": "responses", "api_key_envs": ["K1", "K2"]}) == ("a/m@K1", "a/m@K2")
    assert limits_of(settings(a=ASSISTANTS | {"limits": {"concurrent": 3}}), "a@K1") == PoolLimits(concurrent=3)


def test_a_job_that_has_to_use_a_key_has_only_its_pool():
    known = settings(a=ASSISTANTS | {"api_key_envs": ["K1", "K2"], "fallback": ["b"]}, b=ASSISTANTS)
    assert pools_of(known, PromptJob(prompt="x"), "K2") == ("a@K2", "b")
    assert pools_of(known, PromptJob(prompt="x"), "K3") == ("a@K1", "a@K2", "b"), "the endpoint no longer has it"


def test_a_job_may_use_the_pools_of_its_fallbacks_in_their_order():
    endpoints = {"a": ASSISTANTS | {"fallback": ["c", "b"]}, "b": ASSISTANTS, "c": RESPONSES | {"model": "m"}}
    assert pools(**endpoints) == ("a", "c/m", "b")
    assert pools({"endpoint": "b"}, **endpoints) == ("b",)
    assert pools({"tools": ["t", {"type": "code_interpreter"}]}, **endpoints) == ("a", "c/m", "b")


@pytest.mark.parametrize(
    "tied",
    [
        {"assistant": "asst_1"},
        {"thread": "thread_1"},
        {"keep_thread": True},
        {"files": ["file-1"]},
        {"lane": "batch"},
        {"messages": [{"content": [{"type": "image_file", "image_file": {"file_id": "file-1"}}]}]},
        {"tools": [{"type": "file_search", "vector_store_ids": ["vs_1"]}]},
        {"tools": [{"type": "code_interpreter", "container": "cntr_1"}]},
    ],
)
def test_a_job_that_is_tied_to_its_endpoint_has_no_fallback(tied):
    assert pools(tied, a=ASSISTANTS | {"fallback": ["b"]}, b=RESPONSES | {"model": "m"}) == ("a",)


def test_an_endpoint_that_cannot_run_a_job_is_no_fallback():
    first = ASSISTANTS | {"fallback": ["b"]}
    assert pools(a=first, b=RESPONSES) == ("a",), "no model"
    assert pools(a=first, b=ASSISTANTS | {"assistant": None}) == ("a",)
    assert pools({"profile": "p"}, a=first, b=ASSISTANTS) == ("a",), "nobody knows whether it is applied there"
    assert pools({"profile": "p"}, a=first, b=RESPONSES) == ("a",), "the settings do not have it"
    assert pools({"files": ["a.pdf"]}, a=first, b=ASSISTANTS | {"supports": {"files": False}}) == ("a",)
    assert pools({"max_prompt_tokens": 900}, a=first, b=RESPONSES | {"model": "m"}) == ("a",)


def test_a_profile_of_the_settings_runs_on_any_server_of_responses():
    known = Settings(
        default_endpoint="a",
        endpoints={"a": ASSISTANTS | {"fallback": ["b"]}, "b": RESPONSES},
        profiles={"p": {"model": "m"}},
    )
    assert pools_of(known, PromptJob(prompt="x", profile="p")) == ("a", "b/m")


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        (("a", None, None), "a"),
        (("a@b", "ft:gpt-4o/x y|z", "KEY_1"), "a%40b/ft%3Agpt-4o%2Fx%20y%7Cz@KEY_1"),
        (("a", "模型", None), "a/%E6%A8%A1%E5%9E%8B"),
        (("a", None, "KEY"), "a@KEY"),
    ],
)
def test_the_name_of_a_pool_can_be_read_back(parts, name):
    assert pool_name(*parts) == name
    assert Pool.parse(name) == parts


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ("limits = { requests_per_minute = 0 }", "`endpoints.x.limits.requests_per_minute`: Input should be greater"),
        ("limits = { concurrent = 0 }", "`endpoints.x.limits.concurrent`: Input should be greater than 0"),
        ("limits = { requests_per_minute = inf }", "Input should be a finite number"),
        ('limits = { tokens_counted = "all" }', "`endpoints.x.limits.tokens_counted`: Input should be 'total'"),
        ("limits = { request_per_minute = 1 }", "(did you mean `endpoints.x.limits.requests_per_minute`?)"),
        ("requests_per_minute = 1", "(did you mean `endpoints.x.limits.requests_per_minute`?)"),
        ("limits = { models = { m = { token_per_minute = 1 } } }", ".models.m.tokens_per_minute`?)"),
        ("limits = { models = { m = { per_model = true } } }", "unknown field `endpoints.x.limits.models.m.per_model`"),
        ('api_key_env = "A"\napi_key_envs = ["B"]', "has both `api_key_env` and `api_key_envs`: leave one of them out"),
        ("api_key_envs = []", "`endpoints.x.api_key_envs`: Tuple should have at least 1 item"),
        ('api_key_envs = ["A", "A"]', "`api_key_envs` names a variable twice: name each key once"),
        ('api_key_envs = ["A B"]', "`endpoints.x.api_key_envs.0`: String should match"),
        ('fallback = ["x"]', "endpoint 'x' has itself in `fallback`: name other endpoints, or none"),
        (
            'fallback = ["y"]',
            "endpoint 'x' has 'y' in `fallback`, but the endpoints are emulator, x; add [endpoints.y]",
        ),
    ],
)
def test_a_mistake_in_limits_keys_or_fallbacks_is_named(tmp_path, monkeypatch, fields, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "threadmill.toml").write_text(f'[endpoints.x]\nkind = "assistants"\nbase_url = "http://x"\n{fields}\n')
    with pytest.raises(SettingsError) as raised:
        Settings.load()
    assert says in str(raised.value)


def test_a_key_signed_in_with_entra_needs_no_variable():
    assert Endpoint(kind="azure", base_url="http://x", entra_auth=True).key_variables == ()
    assert Endpoint(kind="azure", base_url="http://x").key_variables == ("AZURE_OPENAI_API_KEY",)
