"""Values in Redis that cannot be read: each is left out and named, and costs nothing but itself."""

import base64
import json
import time
from datetime import UTC, date, datetime, timedelta

import pytest
from tests import shared
from typer.testing import CliRunner

from threadmill import FailureKind, JobState, UnreadableRecord, stored
from threadmill.reports.report_run import ReportRun
from threadmill.reports.store import ReportStore, UnreadableReport
from threadmill.store.keys import Keys, celery_key
from threadmill.store.records.dead_letter import DeadLetter
from threadmill.store.records.remote import LeftoverRecord
from threadmill.store.records.worker import Worker
from threadmill_cli import app
from threadmill_worker.store.batch_lane import LaneStore
from threadmill_worker.store.jobs import JobStore

pytestmark = pytest.mark.integration

emulator = shared.emulator

NOW = datetime(2026, 11, 28, tzinfo=UTC)

#: What a field of a record may hold, and the part that is named then.
DAMAGED = {
    "no JSON": ({"job": "{"}, "job"),
    "no base64": ({"job": "zlib:!"}, "job"),
    "nothing compressed": ({"job": "zlib:AAAA"}, "job"),
    "no UTF-8": ({"job": b"\xff\xfe"}, "job"),
    "a prompt that is a number": ({"job": '{"prompt": 7}'}, "job.prompt"),
    "nested deeply": ({"job": "[" * 100_000}, "job"),
    "a moment that is none": ({"created_at": "yesterday"}, "created_at"),
    "a number that is none": ({"attempts": "many"}, "attempts"),
    "a history that is none": ({"history": "{"}, "history"),
    "a state of a newer version": ({"state": "dreaming"}, "state"),
    "progress": ({"progress": '{"deadline_at": "soon"}'}, "progress.deadline_at"),
}


@pytest.fixture(autouse=True)
def _warn_anew():
    stored.warn.cache_clear()


@pytest.fixture
def keys(settings):
    return Keys(settings.key_prefix)


@pytest.fixture
def damage(store, keys):
    """Changes fields of a job's record."""

    def change(job_id, **fields):
        store.hset(keys.record(job_id), mapping=fields)

    return change


@pytest.fixture
def cli(settings, settings_as_environment, monkeypatch):
    for name, value in settings_as_environment(settings).items():
        monkeypatch.setenv(name, value)
    return lambda *arguments: CliRunner().invoke(app, arguments, prog_name="threadmill")


@pytest.mark.parametrize(("fields", "part"), DAMAGED.values(), ids=DAMAGED)
async def test_an_unreadable_job_is_listed_and_can_be_cancelled(worker, damage, store, fields, part):
    client, sound, job_id = worker.client, worker.create(), worker.create("My secret")
    damage(job_id, **{"sender": "celery"} | fields)

    [found] = client.unreadable_jobs()
    assert (found.id, found.field) == (job_id, part)
    assert "secret" not in found.model_dump_json()
    assert found.state == fields.get("state", "queued")
    assert datetime.now(UTC) - found.since < timedelta(minutes=5)
    readable = [job_id, sound] if part.startswith("progress") else [sound]
    assert sorted(job.id for job in client.jobs()) == sorted(readable)

    assert client.cancel(job_id) is JobState.CANCELLED
    result = client.wait(job_id, timeout_s=0)
    assert (result.state, result.failure.kind) == (JobState.CANCELLED, FailureKind.CANCELLED)
    assert json.loads(store.get(celery_key(job_id)))["result"]["failure"]["kind"] == "cancelled"
    assert client.cancel(job_id) is JobState.CANCELLED, "a repetition finds it ended"


async def test_a_batch_with_an_unreadable_job_is_cancelled_and_redriven(worker, damage, store, keys):
    client = worker.client
    job_ids = [worker.create(batch="notes") for _ in range(4)]
    damage(job_ids[0], job="{")
    damage(job_ids[1], attempts="many")
    damage(job_ids[2], state="dreaming")
    store.hset(keys.batch("notes"), "queued", "some")

    assert client.batch("notes").jobs == {JobState.QUEUED: 0}
    assert client.cancel_batch("notes") == dict.fromkeys(job_ids, JobState.CANCELLED)

    with pytest.raises(UnreadableRecord, match=rf"job {job_ids[0]} cannot be read: .*`job`.*--raw"):
        client.redrive(job_ids[0])
    assert client.store.redrive_many(job_ids[:2]) == {}
    assert client.store.redrive_many(job_ids[2:]) == dict.fromkeys(job_ids[2:], JobState.QUEUED)


def test_a_job_that_ended_without_a_result_raises(client, store, keys):
    job_id = client.enqueue("Why?").id
    client.cancel(job_id)
    store.hdel(keys.record(job_id), "result")
    for read in (client.get, lambda id: client.wait(id, 0), client.redrive, lambda id: list(client.follow(id, 0))):
        with pytest.raises(UnreadableRecord, match="`result`: missing"):
            read(job_id)


def test_a_result_of_another_job_is_not_taken_for_an_answer(client, damage):
    one, other = (client.enqueue(prompt).id for prompt in ("One?", "Other?"))
    client.cancel(one)
    [result] = client.store.results([one])
    damage(other, state="succeeded", result=result.model_dump_json())
    [found] = client.store.results([other])
    assert (found.job_id, found.failure.kind) == (other, FailureKind.UNREADABLE)


def test_a_key_that_holds_no_record_is_listed(client, store, keys):
    job_id = client.enqueue("Why?").id
    store.delete(keys.record(job_id))
    store.set(keys.record(job_id), "x")
    [found] = client.unreadable_jobs()
    assert found.id == job_id
    with pytest.raises(UnreadableRecord, match="no hash"):
        client.cancel(job_id)
    assert client.jobs() == []


async def test_jobs_of_a_newer_version_are_read(worker, damage, store, keys):
    job_id = worker.create("Why?")
    worker.client.cancel(job_id)
    result = json.loads(store.hget(keys.record(job_id), "result"))
    result["failure"] |= {"kind": "out_of_poetry", "hint": "rhyme"}
    result["timings"]["waited_s"] = 7
    result["usage"] = {"reasoning_tokens": 7}
    damage(job_id, result=json.dumps(result))
    failure = worker.client.wait(job_id, timeout_s=0).failure
    assert (failure.kind, failure.message) == ("out_of_poetry", "cancelled while it was queued")


async def test_a_damaged_number_of_a_batch_keeps_no_job_from_its_end(worker, store, keys):
    job_id = worker.create(batch="notes")
    store.hset(keys.batch("notes"), mapping={"queued": "x", "running": "y", "calls": "z", "failed:stuck": "w"})
    assert (await worker.see_through(job_id)).ok
    assert [batch.name for batch in worker.client.batches()] == ["notes"]


@pytest.mark.parametrize("entry", ["{", "7", '{"jobs": "x", "things": 7}', "[" * 2000])
async def test_a_damaged_entry_of_a_thread_keeps_no_job_from_its_end(worker, store, keys, entry):
    first = await worker.run(keep_thread=True)
    store.hset(keys.threads, f"emulator/{first.thread_id}", entry)

    again = await worker.run(thread=first.thread_id, keep_thread=True)

    assert again.ok
    assert store.hget(keys.threads, f"emulator/{first.thread_id}") == entry, "it stays as it is"
    assert worker.client.threads() == []
    worker.client.store.forget_thread("emulator", first.thread_id)
    [left] = worker.client.leftovers()
    assert (left.kind, left.id) == ("thread", first.thread_id)


async def test_a_damaged_leftover_is_tried_once(settings, client, store, keys):
    job_store = JobStore(settings, "a-worker")
    sound = LeftoverRecord(endpoint="emulator", kind="file", id="file-1").to_json()
    store.zadd(keys.leftovers, {"{": 1, b"\xff\x00": 2, sound: 3})

    assert (await job_store.take_leftover()).id == "file-1"
    assert await job_store.take_leftover() is None
    assert store.zcount(keys.leftovers, "inf", "inf") == 2, "they are still there, but not due"
    assert store.zcard(keys.leftovers) == 3
    assert [left.id for left in client.leftovers()] == ["file-1"]
    await job_store.close()


def test_a_name_that_is_no_text_is_left_out_of_the_batches(client, store, keys):
    client.enqueue({"prompt": "Why?", "batch": "b"})
    store.zadd(keys.batches, {b"\x80": 1})
    assert [batch.name for batch in client.batches()] == ["b"]


def test_lists_leave_out_what_cannot_be_read(client, store, keys, caplog):
    sound = {
        keys.threads: ("emulator/thread_1", {"id": "thread_1", "endpoint": "emulator", "job_id": "j"}),
        keys.workers: ("w1", {"name": "w1", "concurrency": 1, "jobs": 0, "endpoints": []}),
        keys.assistants: ("emulator/p", {"id": "asst_1", "digest": "d"}),
    }
    for key, (field, value) in sound.items():
        value |= dict.fromkeys(("seen_at", "created_at", "used_at", "applied_at"), NOW.isoformat())
        store.hset(key, mapping={field: json.dumps(value), "damaged/x": '{"name": "secret"}', "damaged/y": b"\xff"})

    assert [thread.id for thread in client.threads()] == ["thread_1"]
    assert [worker.name for worker in client.store.workers()] == ["w1"]
    assert list(client.store.assistants()) == [("emulator", "p")]
    assert client.store.assistant_of("damaged", "x") is None

    assert len(caplog.messages) == 6
    assert "kept thread damaged/x cannot be read and is left out: `endpoint`: missing" in caplog.messages
    assert "secret" not in caplog.text
    client.threads()
    assert len(caplog.messages) == 6, "each is named once"


async def test_workers_leave_out_what_cannot_be_read(worker, store, keys):
    job_store = worker.process._job_store
    lane_store = LaneStore(worker.settings, "w", job_store.redis, time.time)
    old = Worker(name="w1", seen_at=NOW - timedelta(days=9), concurrency=1, jobs=0, endpoints=())
    store.hset(keys.workers, mapping={"damaged": "{", "w1": old.model_dump_json()})
    await job_store.forget_old_workers()
    assert "w1" not in store.hkeys(keys.workers)

    store.hset(keys.remote_batches, mapping={"damaged": "{", "b1": '{"name": "b1", "endpoint": "e", "made_at": 0}'})
    assert [batch.name for batch in await lane_store.remote_batches()] == ["b1"]
    async with lane_store.holding("damaged") as batch:
        assert batch is None

    store.hset(keys.assistants, "emulator/p", "{")
    assert await job_store.applied("emulator", "p") is None


@pytest.mark.parametrize("fields", [{"job": "{"}, {"progress": "{"}], ids=str)
async def test_an_unreadable_job_is_revoked_by_celery(worker, damage, fields):
    job_id = worker.create()
    damage(job_id, **fields)
    await worker.process.cancel([job_id], running=False)
    assert worker.client.wait(job_id, timeout_s=0).failure.kind is FailureKind.CANCELLED


async def test_a_job_whose_progress_cannot_be_read_says_so(worker, damage):
    job_id = worker.create()
    damage(job_id, progress='{"deadline_at": "soon"}')
    failure = (await worker.see_through(job_id)).failure
    assert (failure.kind, "`progress.deadline_at`" in failure.message) == (FailureKind.UNREADABLE, True)


async def test_an_unreadable_job_of_a_remote_batch_is_failed(worker, store, keys, damage):
    lane_store = LaneStore(worker.settings, "w", worker.process._job_store.redis, time.time)
    store.hset(keys.remote_batches, "b1", '{"name": "b1", "endpoint": "emulator", "made_at": 0}')
    sound, bad = worker.create(), worker.create()
    for job_id in (sound, bad):
        damage(job_id, remote_batch="b1")
        store.sadd(keys.remote_batch("b1"), job_id)
    damage(bad, job="{")

    assert [job.id for job in await lane_store.jobs(await lane_store.get("b1"))] == [sound]

    await worker.process.run(bad, None)
    assert worker.client.wait(bad, timeout_s=0).failure.kind is FailureKind.UNREADABLE


@pytest.mark.parametrize("endpoint", [{"kind": "custom"}], ids=str)
def test_a_damaged_night_is_not_made_twice(settings, store, keys, endpoint):
    reports, night = ReportStore(settings), date(2026, 11, 27)
    sound = ReportRun(report="notes", night=date(2026, 11, 26), begun_at=NOW)
    store.hset(keys.report("notes"), mapping={str(sound.night): sound.model_dump_json(), str(night): "{"})
    store.hset(keys.reports, "notes", "long ago")

    assert reports.runs("notes") == [sound]
    assert reports.first_seen("notes") is None
    assert reports.since("notes", NOW) == NOW
    with pytest.raises(UnreadableReport, match="threadmill report run notes --date 2026-11-27 --again"):
        reports.get("notes", night)


def test_the_command_line_names_what_it_leaves_out(cli, client, damage):
    sound, bad = client.enqueue("Fine?").id, client.enqueue("My secret").id
    damage(bad, job='{"prompt": "My secret", "batch": "/"}')

    listed = cli("jobs")
    assert listed.exit_code == 0
    assert sound in listed.stdout
    assert bad not in listed.stdout
    assert listed.stderr == "unreadable jobs left out: 1; to list them: threadmill jobs --unreadable\n"

    unreadable = cli("jobs", "--unreadable")
    assert unreadable.stdout.split()[-6:] == [
        bad,
        "queued",
        *unreadable.stdout.split()[-4:-2],
        "job.batch",
        "string_pattern_mismatch",
    ]
    assert "threadmill jobs show JOB --raw" in unreadable.stderr
    [entry] = json.loads(cli("jobs", "--unreadable", "--json").stdout)
    assert (entry["id"], entry["field"]) == (bad, "job.batch")
    assert cli("jobs", "--unreadable", "--state", "failed").stdout.count("\n") == 1
    assert cli("jobs", "--unreadable", "--endpoint", "emulator").exit_code == 2

    status = cli("jobs", "show", bad)
    assert status.exit_code == 2
    assert f"job {bad} cannot be read" in status.stderr
    assert "secret" not in status.stderr
    raw = json.loads(cli("jobs", "show", bad, "--raw").stdout)
    assert (raw["state"], raw["job"]) == ("queued", '{"prompt": "My secret", "batch": "/"}')

    assert cli("jobs", "redrive", bad).exit_code == 2
    assert cli("jobs", "cancel", bad).stdout == f"{bad}  cancelled\n"
    assert "cancelled while it was queued" in cli("jobs", "result", bad).stderr
    assert cli("jobs", "show", "no-such-job", "--raw").exit_code == 2


def test_the_command_line_lists_and_clears_dead_letters(cli, client, store, keys):
    assert cli("dead-letters").stdout.split() == ["taken", "(UTC)", "bytes", "sha256", "reason"]
    assert "dead-letters" not in cli("workers").stderr

    letter = DeadLetter.of(b"\xff" * 70_000, "it cannot be decoded: ValueError", NOW)
    store.lpush(keys.dead_letters, "{", letter.model_dump_json())
    store.set(keys.dead_letters_count, 104)
    listed = cli("dead-letters")
    assert listed.stdout.splitlines()[1].split() == [
        *("2026-11-28", "00:00:00", "70,000", letter.sha256[:12]),
        *letter.reason.split(),
    ]
    assert "104 in all; the newest 1 are kept" in listed.stderr
    assert "messages that could not be delivered: 104" in cli("workers").stderr
    assert client.dead_letters() == [letter]

    [entry] = json.loads(cli("dead-letters", "--clear", "--json").stdout)
    assert base64.b64decode(entry["body"]) == b"\xff" * 65_536
    assert cli("dead-letters").stdout.count("\n") == 1
