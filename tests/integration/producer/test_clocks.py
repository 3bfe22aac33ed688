"""Producers on a machine whose clock is a day behind that of Redis."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

import threadmill_cli  # noqa: F401
from threadmill.store.connection import Connection
from threadmill.store.records.remote import KeptThread
from threadmill_cli.app import app

pytestmark = pytest.mark.integration

DAY = timedelta(days=1)


@pytest.fixture
def base_url() -> str:
    return "http://127.0.0.1:9"  # nobody calls it


@pytest.fixture(autouse=True)
def _redis_is_a_day_ahead(monkeypatch):
    monkeypatch.setattr(Connection, "now", lambda self: datetime.now(UTC) + DAY)


@pytest.fixture
def run(settings, settings_as_environment, monkeypatch, tmp_path):
    for name, value in settings_as_environment(settings).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)

    def run_command(*arguments):
        done = CliRunner().invoke(app, [*arguments, "--json"])
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    return run_command


def test_since_is_relative_to_the_clock_of_redis(client, run):
    job = client.enqueue("Well?")
    assert run("jobs", "--since", "23h") == []
    assert [each["id"] for each in run("jobs", "--since", "25h")] == [job.id]


def test_the_time_of_a_running_job_is_by_redis_clock(client, store, settings, run):
    job = client.enqueue("Well?")
    store.hset(f"{settings.key_prefix}:job:{job.id}", "started_at", datetime.now(UTC).timestamp())
    assert run("jobs", "show", job.id)["took_s"] == pytest.approx(DAY.total_seconds(), abs=60)


def test_the_age_of_threads_is_by_the_clock_of_redis(client, store, settings, run):
    now = datetime.now(UTC)
    thread = KeptThread(endpoint="emulator", id="thread_1", job_id="job", created_at=now, used_at=now + 2 * DAY)
    store.hset(f"{settings.key_prefix}:threads", "emulator/thread_1", thread.model_dump_json())
    assert run("threads", "delete", "--older-than", "1h", "--yes") == {}
    assert list(run("threads", "delete", "--all", "--yes")) == ["thread_1"], "all, whatever the clocks say"


def test_producers_use_the_clock_of_redis(client, store, settings):
    job = client.enqueue("Well?")
    client.cancel(job.id)
    finished_at = client.get(job.id).result.timings.finished_at
    assert finished_at - datetime.now(UTC) == pytest.approx(DAY, abs=timedelta(minutes=1))

    client.store.start_batch("notes", 3, new_generation=False)
    assert client.batch("notes").changed_at - datetime.now(UTC) == pytest.approx(DAY, abs=timedelta(minutes=1))

    store.zadd(f"{settings.key_prefix}:leftovers", {'{"endpoint":"emulator","kind":"thread","id":"t"}': "inf"})
    client.retry_leftovers()
    [leftover] = client.leftovers()
    assert leftover.due_at - datetime.now(UTC) == pytest.approx(DAY, abs=timedelta(minutes=1))
