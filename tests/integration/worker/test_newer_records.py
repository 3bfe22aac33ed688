"""Records of a newer version: a worker of today leaves them alone and says so, and a newer worker runs them."""

import json
from datetime import UTC, datetime

import pytest
from tests import shared
from typer.testing import CliRunner

from threadmill import JobState, UnreadableRecord
from threadmill.errors import NewerRecord
from threadmill.job.prompt import PromptJob
from threadmill.store.records.batch import RemoteBatch
from threadmill.store.records.job import FORMAT, JobRecord
from threadmill_cli import app
from threadmill_worker.lifecycle.progress import Progress

pytestmark = pytest.mark.integration

emulator = shared.emulator

TOMORROW = str(FORMAT + 1)

#: The saved place of a worker of tomorrow.
PLACE = {**json.loads(Progress(deadline_at=9e9, messages=1).to_json()), "dreams": 1}

#: What of a record only a newer version knows, and what is named as the reason.
NEWER = {
    "its format": ({"format": TOMORROW}, f"`format`: {TOMORROW}"),
    "a field of its job": ({"job": '{"prompt": "Why?", "mood": "good"}'}, "`job.mood`"),
    "a field of a message": ({"job": '{"messages": [{"content": "Why?", "tone": 7}]}'}, "`job.messages.0.tone`"),
    "a field of its place": (
        {"progress": json.dumps(PLACE), "started_at": "1764000000"},
        "`progress.dreams`",
    ),
}


@pytest.fixture
def change(store, keys):
    """Changes fields of a job's record."""
    return lambda job_id, **fields: store.hset(keys.record(job_id), mapping=fields)


@pytest.fixture
def cli(settings, settings_as_environment, monkeypatch):
    for name, value in settings_as_environment(settings).items():
        monkeypatch.setenv(name, value)
    return lambda *arguments: CliRunner().invoke(app, arguments, prog_name="threadmill")


@pytest.mark.parametrize(("fields", "part"), NEWER.values(), ids=NEWER)
async def test_a_job_of_a_newer_version_waits_for_a_newer_worker(worker, store, keys, change, capsys, fields, part):
    job_id = worker.create("Why?")
    before = store.hgetall(keys.record(job_id))
    change(job_id, **fields)
    newer = store.hgetall(keys.record(job_id))

    for _ in range(3):  # it is dispatched again and again
        await worker.process.run(job_id, None)

    after = store.hgetall(keys.record(job_id))
    for record in (after, newer):
        record.pop("pool", None)  # the heartbeat may have dispatched it
    assert after == newer, "nothing of it has changed: it is queued, without an attempt"
    assert store.zscore(keys.jobs(JobState.QUEUED), job_id) is not None
    logged = [line for line in capsys.readouterr().out.splitlines() if "job left alone" in line]
    assert len(logged) == 1, "it says so once"
    assert part in logged[0]
    assert worker.process._entry().left_alone == 1

    store.delete(keys.record(job_id))
    store.hset(keys.record(job_id), mapping=before)
    assert (await worker.see_through(job_id)).ok


async def test_it_is_dispatched_again_and_never_fails(worker, store, keys, change):
    await worker.process._heartbeat()  # offers slots
    job_id = worker.create("Why?")
    change(job_id, format=TOMORROW)
    assert worker.take_messages() == [job_id]
    await worker.process.run(job_id, None)
    assert store.zcard(keys.dispatched) == 0, "it takes no slot from jobs of today"

    store.zadd(keys.delayed, {job_id: 1})  # the time of its wait has passed
    await worker.process._heartbeat()
    assert worker.take_messages() == [job_id]
    await worker.process.run(job_id, None)

    # Its newer worker died again and again.
    interruptions = 10 * worker.settings.max_attempts
    change(job_id, state="running", owner="newer:1", interruptions=interruptions)
    store.zrem(keys.jobs(JobState.QUEUED), job_id)
    store.zadd(keys.jobs(JobState.RUNNING), {job_id: 1})
    store.zadd(f"{worker.settings.key_prefix}:leases", {job_id: 1})
    store.set(keys.sweep, worker.process.name)
    await worker.process._sweep._rescue()

    assert worker.record(job_id).state is JobState.QUEUED
    assert worker.take_messages() == [job_id]
    await worker.process.run(job_id, None)
    assert worker.record(job_id).state is JobState.QUEUED


async def test_a_worker_that_knows_it_writes_its_format(worker, store, keys):
    job_id = worker.create("Why?")
    store.hdel(keys.record(job_id), "format")  # a record of a version without formats
    assert (worker.record(job_id).format, worker.record(job_id).newer) == (1, None)
    assert (await worker.see_through(job_id)).ok
    assert store.hget(keys.record(job_id), "format") == str(FORMAT)


@pytest.mark.settings(sweep_interval_s=600)
@pytest.mark.endpoint(wire="responses", model="emulator", assistant=None, batch_lane_wait_s=0.001)
async def test_the_batch_lane_leaves_them_alone_too(worker, store, keys, change):
    lane_store = worker.process._lane._store
    today, tomorrow = worker.create("One?", lane="batch"), worker.create("Two?", lane="batch")
    for job_id in (today, tomorrow):
        await worker.process.run(job_id, None)
    change(tomorrow, format=TOMORROW)

    await worker.process._lane.once()
    [batch] = await lane_store.remote_batches()
    assert (worker.record(today).remote_batch, worker.record(tomorrow).remote_batch) == (batch.name, "-")

    change(today, format=TOMORROW)  # as if a newer worker had put it there
    with pytest.raises(NewerRecord):
        await lane_store.jobs(batch)
    worker.process._lane._poll_at.clear()
    await worker.process._lane.once()
    assert worker.record(today).remote_batch == batch.name
    assert await lane_store.get(batch.name) is not None

    store.zadd(f"{keys.prefix}:lane_deadlines", {today: 1, tomorrow: 1})
    await worker.process._lane.once()
    assert [worker.record(job_id).remote_batch for job_id in (today, tomorrow)] == [batch.name, "-"]

    newer = RemoteBatch(name="n", endpoint="emulator", made_at=datetime.now(UTC), format=FORMAT + 1)
    store.hset(keys.remote_batches, "n", newer.model_dump_json())
    assert [each.name for each in await lane_store.remote_batches()] == [batch.name]


def test_a_producer_shows_what_it_can(client, change, cli):
    job_id, odd = client.enqueue("Why?").id, client.enqueue("What?").id
    change(job_id, format=TOMORROW)
    change(odd, format=TOMORROW, state="dreaming")

    record = client.get(job_id)
    assert (record.state, record.job.prompt, record.format) == (JobState.QUEUED, "Why?", FORMAT + 1)
    shown = cli("jobs", "show", job_id)
    assert f"`format`: {TOMORROW}" in shown.stdout
    assert shown.exit_code == 0
    listed = cli("jobs")
    assert job_id in listed.stdout
    assert "jobs of a newer version of threadmill: 1;" in listed.stderr

    with pytest.raises(NewerRecord, match="Update threadmill here"):
        client.get(odd)
    assert issubclass(NewerRecord, UnreadableRecord)
    assert "Update threadmill here" in cli("jobs", "show", odd).stderr
    assert f'"format": "{TOMORROW}"' in cli("jobs", "show", odd, "--raw").stdout
    [unreadable] = json.loads(cli("jobs", "--unreadable", "--json").stdout)
    assert (unreadable["id"], unreadable["state"], unreadable["field"]) == (odd, "dreaming", "format")
    assert client.cancel(odd) is JobState.CANCELLED


async def test_workers_that_are_too_old_are_named(worker, change, cli):
    job_id = worker.create("Why?")
    change(job_id, format=TOMORROW)
    await worker.process.run(job_id, None)
    await worker.process._heartbeat()

    assert (
        f"its record has format {TOMORROW}, and the workers know {FORMAT}: update them"
        in cli("jobs", "show", job_id).stdout
    )
    assert f"{worker.process.name} left jobs to workers of a newer version: 1; update it" in cli("workers").stderr


def test_a_job_of_an_older_version_has_defaults_for_what_it_lacks():
    fields = {"state": "queued", "job": '{"prompt": "Why?"}', "created_at": "1764000000"}
    record = JobRecord.read("job-1", fields)
    assert (record.format, record.unknown, record.newer, record.attempts) == (1, (), None, 0)


def test_fields_that_are_known_are_not_taken_for_newer_ones():
    job = PromptJob.parse({"prompt": "Why?", "files": [{"path": "a.pdf"}], "metadata": {"mood": "good"}})
    assert PromptJob.read(job.model_dump_json()) == (job, ())
    place = Progress(deadline_at=1.0, messages=1)
    assert Progress.unknown_fields(place.to_json()) == ()
    assert json.loads(place.to_json()) == {"deadline_at": 1.0, "messages": 1}, (
        "new fields are there only if they are used"
    )
    assert Progress.from_json(place.to_json()) == place


async def test_a_failure_of_tomorrow_is_listed_by_its_kind(worker, store, keys, cli):
    job_id = worker.create("Why?")
    worker.client.cancel(job_id)
    failure = {"kind": "moonstruck", "message": "the moon was full", "retryable": True, "phase": 0.5}
    result = json.loads(store.hget(keys.record(job_id), "result")) | {"failure": failure, "state": "failed"}
    fields = {"result": json.dumps(result), "state": "failed", "failed_as": "moonstruck"}
    store.hset(keys.record(job_id), mapping=fields)
    store.zadd(keys.failed_jobs("moonstruck"), {job_id: worker.client.store.now().timestamp()})

    listed = cli("jobs", "--failure", "moonstruck")
    assert (listed.exit_code, job_id in listed.stdout, "moonstruck" in listed.stdout) == (0, True, True)
    assert "this version knows no failure moonstruck; it knows rejected," in listed.stderr
    assert "moonstruck: the moon was full" in cli("jobs", "show", job_id).stdout
    shown = cli("jobs", "result", job_id, "--json")
    assert (shown.exit_code, json.loads(shown.stdout)["failure"]) == (1, failure | {"code": None})
    assert worker.client.redrive(job_id) is JobState.QUEUED
    assert (await worker.see_through(job_id)).ok
    [earlier] = worker.record(job_id).history
    assert earlier.failure.kind == "moonstruck"
