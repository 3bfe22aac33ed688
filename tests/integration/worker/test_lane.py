"""The batch lane: jobs wait together for one remote batch, and come back with their answers."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.conftest import environment
from typer.testing import CliRunner

from threadmill import FailureKind, InvalidJob, JobState
from threadmill_cli.app import app
from threadmill_worker.lifecycle import batch_lane

RESPONSES = {"wire": "responses", "model": "emulator", "assistant": None, "first_poll_s": 0.1}

pytestmark = [
    pytest.mark.integration,
    pytest.mark.endpoint(**RESPONSES, batch_lane_wait_s=0.2),
    pytest.mark.settings(sweep_interval_s=0.1),
    pytest.mark.emulated(batch_s=0.3),
]


FULL_PRICE = pytest.mark.endpoint(lane_fallback="full_price")

#: A question that takes about a hundred tokens.
LONG = "Why is the sky blue, and not green? " * 12


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_lane, "RETRY_FIRST_S", 0.05)
    monkeypatch.setattr(batch_lane, "RETRY_LONGEST_S", 0.2)


async def see_all_through(worker: Any, jobs: list[str]) -> list[Any]:
    """As Celery would: whatever the worker puts on the queue comes back to it, until every job has ended."""
    for job_id in jobs:
        await worker.process.run(job_id, None)
    while not all(worker.record(job_id).result for job_id in jobs):
        for job_id in worker.take_messages():
            await worker.process.run(job_id, None)
        await asyncio.sleep(0.05)
    return [worker.record(job_id).result for job_id in jobs]


#: The lane on each API that has one, with the path of a request.
ON_BOTH_APIS = pytest.mark.parametrize(
    "path", ["/responses", pytest.param("/chat/completions", marks=pytest.mark.endpoint(wire="chat"))]
)


@ON_BOTH_APIS
@pytest.mark.endpoint(batch_lane_max_jobs=20, batch_lane_wait_s=60)
async def test_jobs_of_the_lane_are_one_remote_batch(path, worker, emulator):
    jobs = [worker.create(f"Question {number}?", lane="batch", timeout_s=600) for number in range(20)]

    results = await see_all_through(worker, jobs)

    assert [result.state for result in results] == [JobState.SUCCEEDED] * 20
    assert [f"Question {number}?" in result.text for number, result in enumerate(results)] == [True] * 20
    assert all(result.usage.total_tokens > 0 and result.runs == 1 for result in results)
    assert (len(emulator.sent("POST", "/batches")), len(emulator.sent("POST", path))) == (1, 0)
    await worker.process.clean_up()
    assert emulator.left() == {}


async def test_a_job_of_the_lane_has_the_result_of_an_ordinary_one(worker):
    [cheap] = await see_all_through(worker, [worker.create("Why?", lane="batch")])
    [plain] = await see_all_through(worker, [worker.create("Why?")])

    same = {"state", "text", "content", "failure", "runs", "usage", "citations", "files", "parsed", "steps"}
    assert cheap.model_dump(include=same) == plain.model_dump(include=same)


async def test_while_it_waits_it_is_queued_and_takes_no_attempt(worker):
    job_id = worker.create(lane="batch")
    await worker.process.run(job_id, None)

    record = worker.record(job_id)
    assert (record.state, record.attempts, record.remote_batch, record.owner) == (JobState.QUEUED, 0, "-", None)
    await worker.process.run(job_id, None)  # a second message of it
    assert worker.record(job_id).state is JobState.QUEUED


async def test_the_lane_needs_no_pool_and_waits_while_its_endpoint_is_paused(worker, emulator):
    worker.client.pause_endpoint("emulator")
    job_id = worker.create(lane="batch")
    await worker.process.run(job_id, None)
    await asyncio.sleep(0.3)  # more than batch_lane_wait_s
    for _ in range(3):
        await worker.process.clean_up()
    assert worker.record(job_id).remote_batch == "-"
    assert worker.client.store.fields(job_id)["flow"] == "normal|||"
    assert emulator.sent("POST", "/batches") == []

    worker.client.resume_endpoint("emulator")
    [result] = await see_all_through(worker, [job_id])
    assert (result.state, result.lane) == (JobState.SUCCEEDED, "batch")


async def test_requests_that_fail_are_sent_again_in_the_lane_alone(worker, emulator):
    jobs = [worker.create(f"[[scenario={name}]]Why?", lane="batch") for name in ("failed", "invalid_prompt", "echo")]

    failed, refused, good = await see_all_through(worker, jobs)

    assert (failed.failure.kind, refused.failure.kind) == (FailureKind.SERVER_ERROR, FailureKind.INVALID_PROMPT)
    assert (good.state, good.lane) == (JobState.SUCCEEDED, "batch")
    reruns = worker.settings.endpoints["emulator"].max_reruns
    assert (len(emulator.sent("POST", "/batches")), len(emulator.sent("POST", "/responses"))) == (1 + reruns, 0)
    await worker.process.clean_up()
    assert emulator.left() == {}


@FULL_PRICE
async def test_with_a_fallback_requests_that_fail_run_at_full_price(worker, emulator, capsys):
    jobs = [worker.create(f"[[scenario={name}]]Why?", lane="batch") for name in ("failed", "invalid_prompt", "echo")]

    failed, refused, good = await see_all_through(worker, jobs)

    assert (failed.failure.kind, refused.failure.kind) == (FailureKind.SERVER_ERROR, FailureKind.INVALID_PROMPT)
    assert (good.state, good.lane, failed.lane) == (JobState.SUCCEEDED, "batch", None)
    assert len(emulator.sent("POST", "/batches")) == 1
    [warning] = [line for line in capsys.readouterr().out.splitlines() if "leave the batch lane" in line]
    assert "jobs=2" in warning
    await worker.process.clean_up()
    assert emulator.left() == {}


async def test_an_answer_that_does_not_fit_is_asked_for_again(worker, emulator):
    schema = {"type": "object", "properties": {"n": {"type": "string", "pattern": "^x{7}$"}}, "required": ["n"]}
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}

    [result] = await see_all_through(worker, [worker.create("No JSON.", lane="batch", response_format=form)])

    assert result.failure.kind is FailureKind.INVALID_ANSWER
    assert (result.runs, result.lane) == (2, "batch")
    assert (len(emulator.sent("POST", "/batches")), len(emulator.sent("POST", "/responses"))) == (2, 0)


@pytest.mark.emulated(without=frozenset({"batches"}))
async def test_jobs_of_a_server_without_batches_fail_with_a_remedy(worker, emulator):
    results = await see_all_through(worker, [worker.create(lane="batch") for _ in range(3)])

    assert {result.failure.kind for result in results} == {FailureKind.UNSUPPORTED}
    assert 'leave out `lane`, or set lane_fallback = "full_price" in [endpoints.emulator]' in results[0].failure.message
    assert emulator.sent("POST", "/responses") == []
    await worker.process.clean_up()
    assert emulator.left() == {}


@FULL_PRICE
@pytest.mark.emulated(without=frozenset({"batches"}))
async def test_with_a_fallback_jobs_run_singly_where_batches_are_missing(worker, emulator):
    results = await see_all_through(worker, [worker.create(lane="batch") for _ in range(3)])

    assert {result.state for result in results} == {JobState.SUCCEEDED}
    assert len(emulator.sent("POST", "/responses")) == 3
    await worker.process.clean_up()
    assert emulator.left() == {}


async def test_a_lost_reply_makes_no_second_batch(worker, emulator):
    emulator.faults(drop_after=1, only="files.create,batches.create", times=2)

    results = await see_all_through(worker, [worker.create(lane="batch") for _ in range(3)])

    assert {result.state for result in results} == {JobState.SUCCEEDED}
    assert (len(emulator.sent("POST", "/files")), len(emulator.sent("POST", "/batches"))) == (1, 1)


async def test_a_successor_continues_the_remote_batch_of_a_dead_worker(worker, worker_of, emulator, until):
    jobs = [worker.create(lane="batch") for _ in range(3)]
    for job_id in jobs:
        await worker.process.run(job_id, None)
    await asyncio.to_thread(until, lambda: emulator.sent("POST", "/batches"))
    await worker.process.close()

    results = await see_all_through(worker_of(worker.settings), jobs)

    assert {result.state for result in results} == {JobState.SUCCEEDED}
    assert len(emulator.sent("POST", "/batches")) == 1


@pytest.mark.emulated(batch_s=30)
async def test_cancelling_the_last_job_of_a_batch_cancels_the_batch(worker, emulator, until):
    jobs = [worker.create(lane="batch") for _ in range(2)]
    for job_id in jobs:
        await worker.process.run(job_id, None)
    await asyncio.to_thread(until, lambda: emulator.sent("POST", "/batches"))

    states = [await asyncio.to_thread(worker.client.cancel, job_id) for job_id in jobs]

    assert states == [JobState.CANCELLED] * 2
    await asyncio.to_thread(until, lambda: any(each.path.endswith("/cancel") for each in emulator.requests))


async def test_a_cancelled_job_that_is_redriven_waits_in_the_lane_again(worker):
    job_id = worker.create(lane="batch")
    await worker.process.run(job_id, None)
    await asyncio.to_thread(worker.client.cancel, job_id)
    store = worker.client.store
    assert store.redrive(job_id) is JobState.QUEUED

    [result] = await see_all_through(worker, [job_id])

    assert result.state is JobState.SUCCEEDED


@pytest.mark.parametrize("field", [{"stream": True}, {"keep_thread": True}, {"tools": ["file_search"]}])
async def test_what_the_lane_cannot_do_is_refused(worker, field):
    with pytest.raises(InvalidJob, match="the batch lane takes single questions: leave out"):
        worker.create(lane="batch", **field)


@pytest.mark.endpoint(wire="assistants", assistant="asst_emulator")
async def test_an_assistants_server_has_no_lane(worker):
    with pytest.raises(InvalidJob, match="endpoint 'emulator' speaks the Assistants API, which has no cheaper lanes"):
        worker.create(lane="batch")


@pytest.mark.endpoint(wire="chat", supports={"batches": False}, lane_fallback="full_price")
async def test_without_batches_jobs_run_at_the_full_price(worker, emulator):
    [result] = await see_all_through(worker, [worker.create("Why?", lane="batch")])

    assert (result.state, result.lane) == (JobState.SUCCEEDED, None)
    assert result.full_price
    assert emulator.sent("POST", "/batches") == []


@pytest.mark.endpoint(wire="chat")
async def test_its_requests_of_chat_completions_are_no_streams(worker, emulator):
    await see_all_through(worker, [worker.create("Why?", lane="batch", instructions="Be short.", seed=7)])

    [upload] = emulator.sent("POST", "/files")
    [line] = map(json.loads, upload_lines(upload))
    assert line["url"] == "/v1/chat/completions"
    assert line["body"] == {
        "model": "emulator",
        "messages": [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Why?"}],
        "seed": 7,
    }


async def test_its_requests_are_what_an_ordinary_job_asks(worker, emulator):
    await see_all_through(worker, [worker.create("Why?", lane="batch", instructions="Be short.", temperature=0.5)])

    [upload] = emulator.sent("POST", "/files")
    [line] = map(json.loads, upload_lines(upload))
    assert line["url"] == "/v1/responses"
    assert (line["body"]["instructions"], line["body"]["temperature"]) == ("Be short.", 0.5)
    assert "background" not in line["body"]


@pytest.mark.emulated(batch_tokens=500)
@pytest.mark.endpoint(batch_lane_max_jobs=16, batch_lane_wait_s=60)
async def test_a_batch_above_the_token_limit_is_halved_until_its_parts_fit(worker, emulator):
    jobs = [worker.create(f"{number} {LONG}", lane="batch") for number in range(16)]

    results = await see_all_through(worker, jobs)

    assert {(result.state, result.lane) for result in results} == {(JobState.SUCCEEDED, "batch")}
    assert all(f"{number} Why" in result.text for number, result in enumerate(results))
    sizes = [len(upload_lines(each)) for each in emulator.sent("POST", "/files")]
    assert (sizes[0], sum(size <= 4 for size in sizes) >= 4, emulator.sent("POST", "/responses")) == (16, True, [])
    assert {2 * size for size in sizes} - {2, 4, 8, 16, 32} == set(), "halves of halves"
    await worker.process.clean_up()
    assert emulator.left() == {}


@pytest.mark.emulated(batch_tokens=150)
async def test_remote_batches_beyond_the_limit_wait_for_those_under_way(worker, emulator):
    """Jobs that fit one by one, but not together: they are answered one after the other."""
    jobs = [worker.create(f"{number} {LONG}", lane="batch") for number in range(4)]

    results = await see_all_through(worker, jobs)

    assert {(result.state, result.lane) for result in results} == {(JobState.SUCCEEDED, "batch")}
    assert emulator.sent("POST", "/responses") == []


@pytest.mark.emulated(batch_tokens=500)
@pytest.mark.endpoint(batch_lane_max_jobs=4)
async def test_the_end_of_a_remote_batch_makes_room_for_the_next(worker, emulator, monkeypatch):
    monkeypatch.setattr(batch_lane, "RETRY_FIRST_S", 3600)
    monkeypatch.setattr(batch_lane, "RETRY_LONGEST_S", 3600)
    jobs = [worker.create(f"{number} {LONG}", lane="batch") for number in range(12)]

    async with asyncio.timeout(60):
        results = await see_all_through(worker, jobs)

    assert {(result.state, result.lane) for result in results} == {(JobState.SUCCEEDED, "batch")}
    assert [len(upload_lines(each)) for each in emulator.sent("POST", "/files")].count(4) >= 3


@pytest.mark.emulated(batch_tokens=10)
@pytest.mark.endpoint(batch_lane_limit_s=1.5)
async def test_a_job_that_never_fits_becomes_overdue_with_a_reason(worker, emulator, until, monkeypatch):
    job_id = worker.create(LONG, lane="batch")
    await worker.process.run(job_id, None)
    await asyncio.to_thread(
        until, lambda: "token limit" in status_of(worker, job_id, monkeypatch).get("call_error", "")
    )

    [result] = await see_all_through(worker, [job_id])

    assert result.failure.kind is FailureKind.OVERDUE
    assert "Enqueued token limit reached for emulator" in result.failure.message
    assert "lane_fallback" in result.failure.message
    assert emulator.sent("POST", "/responses") == []


@FULL_PRICE
@pytest.mark.emulated(batch_tokens=500)
async def test_with_a_fallback_jobs_above_the_limit_run_at_full_price(worker, emulator):
    jobs = [worker.create(f"{number} {LONG}", lane="batch") for number in range(8)]

    results = await see_all_through(worker, jobs)

    assert {(result.state, result.lane) for result in results} == {(JobState.SUCCEEDED, None)}
    assert {result.full_price for result in results} == {"the batch lane did not answer the job"}
    assert (len(emulator.sent("POST", "/batches")), len(emulator.sent("POST", "/responses"))) == (1, 8)


async def test_a_busy_server_gets_the_batch_later(worker, emulator):
    emulator.faults(rate_limit_429=1, only="batches.create", times=3)

    [result] = await see_all_through(worker, [worker.create(lane="batch")])

    assert (result.state, result.lane) == (JobState.SUCCEEDED, "batch")
    assert (len(emulator.sent("POST", "/batches")), len(emulator.sent("POST", "/responses"))) == (4, 0)


@pytest.mark.emulated(batch_s=30)
async def test_an_expired_batch_is_sent_again(worker, emulator, until):
    jobs = [worker.create(lane="batch") for _ in range(3)]
    for job_id in jobs:
        await worker.process.run(job_id, None)
    await asyncio.to_thread(until, lambda: emulator.sent("POST", "/batches"))
    batches = emulator.emulator.state.batches
    [batch] = await asyncio.to_thread(until, lambda: [each for each in batches.all() if each.status == "in_progress"])
    batches._batch_s = 0.3
    batches._finish(batch, "expired", batch.created)

    results = await see_all_through(worker, jobs)

    assert {(result.state, result.lane) for result in results} == {(JobState.SUCCEEDED, "batch")}
    assert (len(emulator.sent("POST", "/batches")), len(emulator.sent("POST", "/responses"))) == (2, 0)


async def test_a_key_refused_for_a_while_loses_no_batch(worker, emulator):
    emulator.faults(unauthorised=1, only="batches.retrieve", times=2)

    [result] = await see_all_through(worker, [worker.create(lane="batch")])

    assert (result.state, result.lane) == (JobState.SUCCEEDED, "batch")
    assert len(emulator.sent("POST", "/batches")) == 1


@pytest.mark.emulated(batch_s=30)
async def test_jobs_of_a_batch_that_someone_else_cancels_fail(worker, emulator, until):
    job_id = worker.create(lane="batch")
    await worker.process.run(job_id, None)
    batches = emulator.emulator.state.batches
    [batch] = await asyncio.to_thread(until, batches.all)
    batches._batch_s = 0.3
    emulator.call("POST", f"/batches/{batch.id}/cancel", None)

    [result] = await see_all_through(worker, [job_id])

    assert result.failure.kind is FailureKind.CANCELLED_REMOTELY
    assert emulator.sent("POST", "/responses") == []


@pytest.mark.settings(profiles={"searcher": {"model": "emulator", "tools": [{"type": "web_search"}]}})
async def test_a_job_that_does_not_fit_the_lane_fails(worker, emulator):
    result = await worker.run("Why?", lane="batch", profile="searcher")

    assert result.failure.kind is FailureKind.REJECTED
    assert "has tools, from its profile: leave out `lane`, or set lane_fallback" in result.failure.message
    assert emulator.sent("POST", "/responses") == []


@pytest.mark.emulated(batch_s=30)
async def test_a_job_fails_when_its_deadline_passes_in_the_lane(worker, emulator):
    soon = datetime.now(UTC) + timedelta(seconds=1.5)

    [result] = await see_all_through(worker, [worker.create(lane="batch", deadline_at=soon)])

    assert result.failure.kind is FailureKind.OVERDUE
    assert "the batch lane brought no answer within its deadline" in result.failure.message
    assert emulator.sent("POST", "/responses") == []


@pytest.mark.emulated(batch_s=30)
async def test_a_line_that_the_server_refuses_fails_its_own_job_alone(worker, emulator, until):
    jobs = [worker.create(f"Question {number}?", lane="batch") for number in range(3)]
    for job_id in jobs:
        await worker.process.run(job_id, None)
    batches = emulator.emulator.state.batches  # each is being validated for three seconds
    [batch] = await asyncio.to_thread(until, batches.all)
    refused = batch.lines[1].request.custom_id
    batch.errors.append({"code": "invalid_request", "message": "This line is wrong.", "param": None, "line": 2})
    batches._batch_s = 0.3

    results = await see_all_through(worker, jobs)

    assert {result.job_id for result in results if not result.ok} == {refused}
    [failure] = [result.failure for result in results if not result.ok]
    assert (failure.kind, failure.message.split(";")[0]) == (FailureKind.REJECTED, "This line is wrong.")


async def test_a_record_that_cannot_be_read_holds_up_no_other_job(worker, store):
    damaged, *others = [worker.create(lane="batch") for _ in range(3)]
    for job_id in (damaged, *others):
        await worker.process.run(job_id, None)
    store.hset(f"{worker.settings.key_prefix}:job:{damaged}", "job", "{")

    results = await see_all_through(worker, others)

    assert {(result.state, result.lane) for result in results} == {(JobState.SUCCEEDED, "batch")}
    await worker.process.run(damaged, None)
    assert worker.client.wait(damaged, timeout_s=0).failure.kind is FailureKind.UNREADABLE


def status_of(worker: Any, job_id: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What `threadmill jobs show` shows of a job."""
    for name, value in environment(worker.settings).items():
        monkeypatch.setenv(name, value)
    shown = CliRunner().invoke(app, ["jobs", "show", job_id])
    assert shown.exit_code == 0, shown.output
    return dict(line.split(maxsplit=1) for line in shown.stdout.partition("\n\n")[0].splitlines())


def upload_lines(upload: Any) -> list[bytes]:
    return [row for row in upload.body.split(b"\n") if row.startswith(b'{"custom_id"')]
