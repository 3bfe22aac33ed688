"""The timeline in a job's record: what the worker noted, and what the record says anyway."""

import asyncio

import pytest
from tests.integration.worker.test_elsewhere import answering

from threadmill import JobState

pytestmark = pytest.mark.integration


def kinds(worker, job_id):
    return [entry.kind for entry in worker.record(job_id).full_timeline]


def details(worker, job_id, kind):
    return [entry.detail for entry in worker.record(job_id).full_timeline if entry.kind == kind]


async def test_a_job_with_a_tool_from_its_creation_to_its_end(worker):
    result = await worker.run("[[scenario=tools]]\nBread?", assistant="asst_echo")

    job_id = result.job_id
    noted = [kind for kind in kinds(worker, job_id) if kind != "run changed"]
    assert noted == [
        "queued", "claimed", "thread", "run created", "tool call", "tool output", "answer", "deleted", "ended",
    ]  # fmt: skip
    [call], [output] = details(worker, job_id, "tool call"), details(worker, job_id, "tool output")
    assert call.startswith("SEARCH {")
    assert "Bread" in call
    assert output.startswith("SEARCH Emulated search results for: Bread?")
    looks = details(worker, job_id, "run changed")
    assert looks[-1] == "completed"
    assert "requires_action" in looks
    assert details(worker, job_id, "ended") == ["succeeded"]
    times = [entry.at_s for entry in worker.record(job_id).full_timeline]
    assert times == sorted(times)
    assert times[0] == 0


async def test_a_rerun_says_why(worker):
    result = await worker.run("[[scenario=expired_once run_s=0.1]]\nWell?")

    assert result.state is JobState.SUCCEEDED
    assert len(details(worker, result.job_id, "run created")) == 2
    [reason] = details(worker, result.job_id, "rerun")
    assert "expired" in reason


async def test_a_cancelled_job_says_when_that_was_asked(worker, until):
    job_id = worker.create("[[scenario=stuck]]\nWell?")
    running = asyncio.create_task(worker.process.run(job_id, None))
    await asyncio.to_thread(until, lambda: (place := worker.record(job_id).progress_summary) and place.run)
    worker.client.cancel(job_id)
    await running

    noted = kinds(worker, job_id)
    assert noted.index("cancel asked") < noted.index("run cancelled") < noted.index("deleted")
    assert details(worker, job_id, "ended")[0].startswith("cancelled: ")


async def test_a_job_that_is_cancelled_while_queued_has_a_beginning_and_an_end(worker):
    job_id = worker.create()
    worker.client.cancel(job_id)
    assert kinds(worker, job_id) == ["queued", "ended"]


async def test_a_redriven_job_continues_its_timeline(worker):
    result = await worker.run("[[scenario=failed]]\nWell?")
    assert result.state is JobState.FAILED
    worker.client.redrive(result.job_id)
    await worker.see_through(result.job_id)

    noted = kinds(worker, result.job_id)
    assert (noted.count("queued"), noted.count("claimed"), noted.count("ended")) == (1, 2, 2)
    assert noted.index("ended") < len(noted) - 1 - noted[::-1].index("claimed")
    assert all(detail.startswith("failed: ") for detail in details(worker, result.job_id, "ended"))


async def test_an_attempt_after_an_interruption_says_so(worker, job_store, store, keys):
    job_id = worker.create()
    lost = job_store.lease(job_id)
    await job_store.claim(lost)
    store.zadd(keys.leases, {job_id: 1})
    await worker.see_through(job_id)

    [claimed] = details(worker, job_id, "claimed")
    assert claimed.startswith("attempt 2 by worker ")
    assert claimed.endswith("for endpoint emulator, after 1 interrupted in a row")


async def test_calls_that_fail_in_a_row_are_one_entry(serve, make_settings, worker_of):
    url = serve(answering(500, {"error": {"message": "Oh no."}}))
    worker = worker_of(make_settings(url, {"unreachable_limit_s": 0.3}))
    result = await worker.run()

    [failed] = [entry for entry in worker.record(result.job_id).timeline if entry.kind == "call failed"]
    assert failed.times > 1
    assert "500" in failed.detail


async def test_a_damaged_timeline_harms_nothing(worker, store, keys):
    job_id = worker.create()
    store.hset(keys.record(job_id), "timeline", "zlib:damaged")
    assert (await worker.see_through(job_id)).state is JobState.SUCCEEDED
    assert kinds(worker, job_id)[0:2] == ["queued", "claimed"]
    store.hset(keys.record(job_id), "timeline", '[["late","thread"]]')
    assert kinds(worker, job_id) == ["queued", "ended"]
