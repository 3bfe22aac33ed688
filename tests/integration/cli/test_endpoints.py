"""`threadmill endpoints`, in a process of its own: limits, the jobs that wait for them, and paused endpoints."""

import json
import time

import pytest

from threadmill import Client
from threadmill.settings.endpoints.pool_name import pool_name
from threadmill.store.keys import Keys

pytestmark = pytest.mark.integration

DAVINCI = {"kind": "davinci", "assistant": "asst_1"}
OPENAI = {"kind": "responses", "model": "gpt-4o", "limits": {"requests_per_minute": 500, "concurrent": 20}}


@pytest.fixture
def settings(make_settings):
    made = make_settings("http://127.0.0.1:9")
    endpoints = {name: each.model_dump(exclude_unset=True) for name, each in made.endpoints.items()}
    return type(made).model_validate(
        made.model_dump(exclude={"endpoints"}) | {"endpoints": endpoints | {"davinci": DAVINCI, "openai": OPENAI}}
    )


@pytest.fixture
def keys(settings):
    return Keys(settings.key_prefix)


@pytest.fixture
def cli(run_cli, settings, settings_as_environment):
    variables = settings_as_environment(settings)
    return lambda *arguments, **more: run_cli(*arguments, **variables | more)


@pytest.fixture
def shut(store, keys):
    """A pool of davinci that the server shut, with three jobs that wait for it and two that run."""
    name, now = pool_name("davinci"), time.time()
    store.zadd(keys.pools, {name: now})
    store.hset(
        keys.pool(name), mapping={"rate": "20", "shut_until": now + 60, "shut_reason": "429 Slow down", "refused": 2}
    )
    store.hset(keys.pool_jobs(name), mapping={"a": 0, "b": 0})
    flow = f"normal|autumn|autumn|{name}"
    store.zadd(keys.tenants("normal"), {"autumn": now})
    store.zadd(keys.flows("normal", "autumn"), {flow: now})
    store.zadd(keys.flow(flow), dict.fromkeys("cde", now))
    store.hset(keys.limited, flow, f"1.500 {now}")


def rows(done):
    header, *lines = done.stdout.splitlines()
    assert header.split() == ["pool", "requests/min", "tokens/min", "jobs", "waiting", "refused", "state"]
    return {line.split()[0]: line.split()[1:] for line in lines}


def test_an_endpoint_without_any_start_shows_the_limits_that_are_set(cli):
    assert rows(cli("endpoints")) == {
        "davinci": ["-", "-", "0", "0", "0", "not", "used"],
        "emulator": ["-", "-", "0", "0", "0", "not", "used"],
        "openai": ["500", "-", "0/20", "0", "0", "not", "used"],
    }


def test_a_number_of_jobs_at_a_time_says_where_it_comes_from(cli, store, keys):
    name = pool_name("davinci")
    store.zadd(keys.pools, {name: time.time()})
    store.hset(keys.pool(name), "number", "63.6")
    assert rows(cli("endpoints"))["davinci"][:4] == ["-", "-", "0/64", "(refusals)"]
    assert "0 of 64, estimated from the server's refusals" in cli("endpoints", "show", "davinci").stdout
    assert "0 of 20, set" in cli("endpoints", "show", "openai").stdout


def test_a_shut_pool_shows_its_jobs_and_why(cli, shut):
    row = rows(cli("endpoints", "list"))["davinci"]
    assert row[:8] == ["1,200", "(refusals)", "-", "2", "3", "2", "shut", "for"]
    told = {pool["name"]: pool for pool in json.loads(cli("endpoints", "--json").stdout)}
    assert (told["davinci"]["jobs"], told["davinci"]["waiting"], told["davinci"]["limited"]) == (2, 3, 3)
    assert told["davinci"]["wait_reason"].startswith("shut for ")
    assert told["davinci"]["shut_reason"] == "429 Slow down"
    assert told["openai"]["wait_reason"] is None


def test_an_endpoint_in_full(cli, shut):
    lines = dict(line.split(maxsplit=1) for line in cli("endpoints", "show", "davinci").stdout.splitlines())
    assert lines["pool"] == "davinci"
    assert lines["state"].startswith("shut for ")
    assert lines["requests"] == "1,200 a minute, estimated from the server's refusals"
    assert lines["tokens"] == "no limit known"
    assert (lines["jobs"], lines["waiting"], lines["refused"]) == ("2", "3", "2")
    assert lines["last"] == "used    within the last minute"


def test_an_endpoint_shows_how_long_its_runs_take(cli, store, keys):
    name = "openai/asst_1/gpt-4o"
    store.rpush(keys.durations(name), *map(str, range(1, 11)))
    store.zadd(keys.durations_names, {name: time.time(), "davinci/asst_2/": time.time()})
    *_, header, row = cli("endpoints", "show", "openai").stdout.splitlines()
    assert header.split() == ["assistant", "model", "runs", "median", "90th", "percentile"]
    assert row.split() == ["asst_1", "gpt-4o", "10", "5.5", "s", "9.0", "s"]
    shown = json.loads(cli("endpoints", "show", "openai", "--json").stdout)
    assert [pool["endpoint"] for pool in shown["pools"]] == ["openai"]
    [durations] = shown["durations"]
    assert (durations["assistant"], durations["median_s"], durations["p90_s"]) == ("asst_1", 5.5, 9.0)


def test_an_unknown_endpoint_is_a_mistake_in_the_command(cli):
    for command in ("show", "pause", "resume"):
        done = cli("endpoints", command, "davincii")
        assert (done.returncode, done.stdout) == (2, "")
        assert "there is no endpoint 'davincii'; the settings have davinci, emulator, openai" in done.stderr


def test_an_endpoint_is_paused_for_a_reason_and_resumed(cli, settings):
    done = cli("endpoints", "pause", "openai", "--reason", "maintenance\nuntil 6")
    assert done.stderr == "openai is paused; to resume it: threadmill endpoints resume openai\n"
    assert rows(cli("endpoints"))["openai"][-4:] == ["paused:", "maintenance", "until", "6"]
    assert "openai is paused: maintenance until 6" in cli("workers").stderr
    [pool] = Client(settings).awaited_pools()
    assert (pool.endpoint, pool.paused) == ("openai", "maintenance until 6")

    assert cli("endpoints", "resume", "openai").stderr == "openai is resumed\n"
    assert cli("endpoints", "resume", "openai").stderr == "openai was not paused\n"
    assert not Client(settings).awaited_pools()


def test_a_paused_endpoint_that_the_settings_no_longer_have_can_be_resumed(cli, store, keys):
    store.hset(keys.endpoints_paused, "gone", "")
    assert rows(cli("endpoints"))["gone"][-1] == "paused"
    assert cli("endpoints", "resume", "gone").stderr == "gone is resumed\n"


def test_a_secret_in_a_reason_is_not_stored(settings, store, keys, monkeypatch):
    monkeypatch.setenv("DAVINCI_API_KEY", "sk-very-secret-1")
    Client(settings).settings.endpoints["davinci"].read_key()
    Client(settings).pause_endpoint("davinci", "the key sk-very-secret-1 is blocked")
    assert store.hget(keys.endpoints_paused, "davinci") == "the key [key] is blocked"


def test_pools_of_another_endpoint_are_not_shown(settings, shut):
    assert [pool.name for pool in Client(settings).pools()] == ["davinci"]
    assert Client(settings).pools("openai") == []
