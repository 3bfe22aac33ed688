"""What `threadmill doctor` says about a Redis that answers, and how it ends."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from threadmill import Settings
from threadmill.errors import SettingsError
from threadmill.settings.endpoints.endpoint import Endpoint
from threadmill.store.records.pool import PoolRecord
from threadmill.store.records.worker import Worker
from threadmill.store.rights import ROLES, set_user
from threadmill_cli import app
from threadmill_cli.commands.set_up.discovery import Comparison
from threadmill_cli.commands.set_up.doctor import checks, doctor
from threadmill_cli.commands.set_up.doctor.doctor import Role

NOW = datetime(2026, 11, 28, tzinfo=UTC)

SAFE = {"redis_version": "7.4.1", "maxmemory_policy": "noeviction", "aof_enabled": 1}


def of_redis(info):
    return {finding.check: finding for finding in checks.check_redis(info)}


def test_a_redis_that_keeps_everything_gives_no_warning():
    found = of_redis(SAFE)
    assert list(found) == ["redis", "eviction", "persistence"]
    assert not any(finding.warning for finding in found.values())


@pytest.mark.parametrize(
    ("change", "check", "remedy"),
    [
        ({"maxmemory_policy": "allkeys-lru"}, "eviction", "set `maxmemory-policy noeviction`"),
        ({"maxmemory_policy": None}, "eviction", "set `maxmemory-policy noeviction`"),
        ({"aof_enabled": 0}, "persistence", "set `appendonly yes`"),
    ],
)
def test_a_redis_that_may_lose_jobs_is_a_warning_with_the_remedy(change, check, remedy):
    found = of_redis(SAFE | change)
    assert found[check].warning
    assert found[check].ok
    assert found[check].detail.endswith(remedy)


def test_what_redis_does_not_permit_to_read_is_reported():
    found = of_redis(None)
    assert found["redis"].ok
    for check, setting in (("eviction", "maxmemory-policy noeviction"), ("persistence", "appendonly yes")):
        assert found[check].warning
        assert "may not call INFO" in found[check].detail
        assert setting in found[check].detail


def test_a_clock_more_than_a_second_off_is_a_warning():
    worker = Worker(name="mill-7:42:abc", seen_at=NOW, concurrency=1, jobs=0, endpoints=(), clock_skew_s=-60.04)
    right = worker.model_copy(update={"name": "mill-8:1:def", "clock_skew_s": 0.9})
    found = list(checks.check_clocks(3600.0, [worker, worker, right]))
    assert all(finding.ok and finding.warning for finding in found)
    assert [finding.detail for finding in found] == [
        "the clock of this machine is 3,600.0 s ahead of Redis' clock; synchronise both with NTP",
        "the clock of worker host mill-7 is 60.0 s behind Redis' clock; synchronise both with NTP",
    ]
    assert not list(checks.check_clocks(-0.9, [right]))


def test_workers_that_are_too_old_for_this_command_are_an_error(monkeypatch):
    old = Worker(name="w", seen_at=NOW, concurrency=1, jobs=0, endpoints=("davinci",))  # of a version without formats
    client = SimpleNamespace(workers=lambda: [old])
    assert checks.check_workers(client, "davinci", 0) == "w (0/1 jobs)"
    monkeypatch.setattr(checks, "FORMAT", old.format + 1)
    with pytest.raises(checks.CheckFailed, match="older version of threadmill"):
        checks.check_workers(client, "davinci", 0)


def test_workers_without_the_keys_are_an_error_that_names_them():
    worker = Worker(name="w", seen_at=NOW, concurrency=1, jobs=0, endpoints=())
    several = Endpoint(kind="davinci", api_key_envs=["KEY_1", "KEY_2"])
    client = SimpleNamespace(workers=lambda: [worker], settings=SimpleNamespace(endpoints={"davinci": several}))
    with pytest.raises(checks.CheckFailed, match="none serves 'davinci': set KEY_1 and KEY_2 in its environment"):
        checks.check_workers(client, "davinci", 0)


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run_doctor(*options):
        return CliRunner().invoke(app, ["doctor", *options])

    return run_doctor


def test_settings_that_cannot_be_used_are_exit_2(run, monkeypatch):
    assert run().exit_code == 2, "no endpoint is configured"
    monkeypatch.setenv("REDIS_URL", "localhost")
    done = run("--endpoint", "emulator")
    assert done.exit_code == 2
    assert done.stdout.startswith("FAIL  settings     `redis_url`: is not a URL")


def test_a_failed_check_is_exit_1_and_a_warning_is_none(run, monkeypatch):
    outcome = [checks.Finding("redis", True, "x"), checks.Finding("eviction", True, "y", warning=True)]
    monkeypatch.setattr(doctor, "examine", lambda *_: iter(outcome))
    done = run()
    assert done.exit_code == 0
    assert "warn  eviction     y" in done.stdout
    outcome.append(checks.Finding("workers", False, "z"))
    assert run().exit_code == 1


def test_a_missing_key_is_a_mistake_in_the_settings(run, monkeypatch):
    def refuse(*_):
        raise SettingsError("endpoint 'davinci' needs its key")

    monkeypatch.setattr(checks, "open_environment", refuse)
    done = run("--endpoint", "emulator")
    assert done.exit_code == 2
    assert "FAIL  settings     endpoint 'davinci' needs its key" in done.stdout


@pytest.mark.parametrize(("option", "limit"), [((), 60), (("--no-prompt",), None), (("--timeout-s", "5"), 5)])
def test_no_prompt_sends_none(run, monkeypatch, option, limit):
    given = []
    found = checks.Finding("settings", True, "")
    monkeypatch.setattr(doctor, "examine", lambda _, round_trip_s, __: given.append(round_trip_s) or iter([found]))
    run(*option)
    assert given == [limit]


def test_a_key_that_cannot_be_sent_is_a_mistake_in_the_settings(run, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret\n-4711")
    done = run("--endpoint", "openai")
    assert done.exit_code == 2
    assert "FAIL  settings     endpoint 'openai': the value of OPENAI_API_KEY has a line end" in done.stdout
    assert "sk-" not in done.output


def test_a_paused_and_a_shut_pool_are_warnings():
    pools = (
        PoolRecord.read("davinci", NOW, {}, paused="maintenance"),
        PoolRecord.read("davinci/o3", NOW, {"shut_until": str(NOW.timestamp() + 9), "shut_reason": "429 Slow down"}),
        PoolRecord.read("davinci/gpt-4o", NOW, {"set_concurrent": "1"}, jobs=1, waiting=1, limited=1),
    )
    found = list(checks.check_pools(SimpleNamespace(awaited_pools=lambda name: pools), "davinci"))
    assert all(finding.ok and finding.warning for finding in found)
    assert [finding.detail for finding in found] == [
        "davinci is paused: maintenance; to resume it: threadmill endpoints resume davinci",
        "davinci/o3 is shut for 9 s: 429 Slow down",
    ]


def test_a_feature_that_the_server_lacks_is_a_warning_and_an_unused_one_is_none(monkeypatch):
    asked = {}

    def compare(settings, name, **how):
        asked.update(how)
        return Comparison("the server offers x", ["x: not offered; set x = false"], ["y: offered, but not used"])

    monkeypatch.setattr(checks, "compare", compare)
    found = list(checks.check_offers("mine", None, None))
    assert [(finding.ok, finding.warning) for finding in found] == [(True, False), (True, True), (True, False)]
    assert asked == {"prompts": False, "limit_s": 30.0}
    list(checks.check_offers("mine", None, 5))
    assert asked == {"prompts": True, "limit_s": 5}


def test_the_option_for_the_endpoint_still_works(run, monkeypatch):
    given = []
    found = checks.Finding("settings", True, "")
    monkeypatch.setattr(doctor, "examine", lambda name, *_: given.append(name) or iter([found]))
    run("emulator")
    run("--endpoint", "emulator")
    assert given == ["emulator", "emulator"]


@pytest.mark.parametrize("role", ROLES)
def test_the_line_for_a_user_in_redis_is_printed_without_a_connection(role, monkeypatch):
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    done = CliRunner().invoke(app, ["doctor", "--redis-acl", role])
    assert (done.exit_code, done.stdout) == (0, set_user(role, Settings.load()) + "\n")
    assert set(Role) == set(ROLES)
