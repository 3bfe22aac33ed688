"""The batch lane: jobs wait together for one remote batch, and come back with their answers."""

import asyncio
import json
from typing import Any

import pytest

from threadmill import FailureKind, InvalidJob, JobState

RESPONSES = {"wire": "responses", "model": "emulator", "assistant": None, "poll_first_s": 0.1}

pytestmark = [
    pytest.mark.integration,
    pytest.mark.endpoint(**RESPONSES, lane_wait_s=0.2),
    pytest.mark.settings(sweep_s=0.1),
    pytest.mark.emulated(batch_s=0.3),
]


async def see_all_through(worker: Any, jobs: list[str]) -> list[Any]:
    """As Celery would: whatever the worker puts on the queue comes back to it, until every job has ended."""
    for job_id in jobs:
        await worker.process.run(job_id, None)
    while not all(worker.record(job_id).result for job_id in jobs):
        while worker.sent:
            await worker.process.run(worker.sent.pop(0), None)
        await asyncio.sleep(0.05)
    return [worker.record(job_id).result for job_id in jobs]


def left(emulator: Any) -> dict[str, int]:
    stats = emulator.stats()
    return {kind: stats[kind]["alive"] for kind in ("responses", "files") if stats[kind]["alive"]}


def asked(emulator: Any, path: str) -> list[Any]:
    return [each for each in emulator.requests if (each.method, each.path) == ("POST", path)]


async def test_jobs_of_the_lane_are_one_remote_batch(worker, emulator):
    jobs = [worker.create(f"Question {number}?", lane="batch", timeout_s=600) for number in range(20)]

    results = await see_all_through(worker, jobs)

    assert [result.state for result in results] == [JobState.SUCCEEDED] * 20
    assert [f"Question {number}?" in result.text for number, result in enumerate(results)] == [True] * 20
    assert all(result.usage.total_tokens > 0 and result.runs == 1 for result in results)
    assert (len(asked(emulator, "/batches")), len(asked(emulator, "/responses"))) == (1, 0)
    await worker.process._sweep.tidy()
    assert left(emulator) == {}


async def test_a_job_of_the_lane_has_the_result_of_an_ordinary_one(worker):
    [cheap] = await see_all_through(worker, [worker.create("Why?", lane="batch")])
    [plain] = await see_all_through(worker, [worker.create("Why?")])

    same = {"state", "text", "content", "failure", "runs", "usage", "citations", "files", "parsed", "steps"}
    assert cheap.model_dump(include=same) == plain.model_dump(include=same)


async def test_while_it_waits_it_is_queued_and_takes_no_attempt(worker):
    job_id = worker.create(lane="batch")
    await worker.process.run(job_id, None)

    record = worker.record(job_id)
    assert (record.state, record.attempts, record.parked, record.owner) == (JobState.QUEUED, 0, "-", None)
    await worker.process.run(job_id, None)  # a second message of it
    assert worker.record(job_id).state is JobState.QUEUED


async def test_what_the_provider_does_not_answer_runs_the_ordinary_way(worker, emulator):
    jobs = [worker.create(f"[[scenario={name}]]Why?", lane="batch") for name in ("failed", "invalid_prompt", "echo")]

    failed, refused, good = await see_all_through(worker, jobs)

    assert (failed.failure.kind, refused.failure.kind) == (FailureKind.SERVER_ERROR, FailureKind.INVALID_PROMPT)
    assert good.state is JobState.SUCCEEDED
    await worker.process._sweep.tidy()
    assert left(emulator) == {}


async def test_an_answer_that_does_not_fit_is_asked_for_again(worker):
    schema = {"type": "object", "properties": {"n": {"type": "string", "pattern": "^x{7}$"}}, "required": ["n"]}
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}

    [result] = await see_all_through(worker, [worker.create("No JSON.", lane="batch", response_format=form)])

    assert result.failure.kind is FailureKind.INVALID_ANSWER
    assert result.runs == 2


@pytest.mark.emulated(without=frozenset({"batches"}))
async def test_a_server_without_batches_gets_its_jobs_one_by_one(worker, emulator):
    results = await see_all_through(worker, [worker.create(lane="batch") for _ in range(3)])

    assert {result.state for result in results} == {JobState.SUCCEEDED}
    assert len(asked(emulator, "/responses")) == 3
    await worker.process._sweep.tidy()
    assert left(emulator) == {}


async def test_a_lost_reply_makes_no_second_batch(worker, emulator):
    emulator.faults(drop_after=1, only="files.create,batches.create", times=2)

    results = await see_all_through(worker, [worker.create(lane="batch") for _ in range(3)])

    assert {result.state for result in results} == {JobState.SUCCEEDED}
    assert (len(asked(emulator, "/files")), len(asked(emulator, "/batches"))) == (1, 1)


async def test_a_successor_goes_on_with_the_batch_of_a_dead_worker(worker, worker_of, emulator, until):
    jobs = [worker.create(lane="batch") for _ in range(3)]
    for job_id in jobs:
        await worker.process.run(job_id, None)
    await asyncio.to_thread(until, lambda: asked(emulator, "/batches"))
    await worker.process.close()

    results = await see_all_through(worker_of(worker.settings), jobs)

    assert {result.state for result in results} == {JobState.SUCCEEDED}
    assert len(asked(emulator, "/batches")) == 1


@pytest.mark.emulated(batch_s=30)
async def test_a_job_that_is_cancelled_ends_at_once_and_the_last_takes_the_batch_with_it(worker, emulator, until):
    jobs = [worker.create(lane="batch") for _ in range(2)]
    for job_id in jobs:
        await worker.process.run(job_id, None)
    await asyncio.to_thread(until, lambda: asked(emulator, "/batches"))

    states = [await asyncio.to_thread(worker.client.cancel, job_id) for job_id in jobs]

    assert states == [JobState.CANCELLED] * 2
    await asyncio.to_thread(until, lambda: any(each.path.endswith("/cancel") for each in emulator.requests))


async def test_a_cancelled_job_that_is_sent_again_waits_anew(worker):
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
    with pytest.raises(InvalidJob, match="endpoint 'emulator' has no batch lane"):
        worker.create(lane="batch")


async def test_its_requests_are_what_an_ordinary_job_asks(worker, emulator):
    await see_all_through(worker, [worker.create("Why?", lane="batch", instructions="Be short.", temperature=0.5)])

    [upload] = asked(emulator, "/files")
    line = json.loads(next(row for row in upload.body.split(b"\n") if row.startswith(b'{"custom_id"')))
    assert line["url"] == "/v1/responses"
    assert (line["body"]["instructions"], line["body"]["temperature"]) == ("Be short.", 0.5)
    assert "background" not in line["body"]
