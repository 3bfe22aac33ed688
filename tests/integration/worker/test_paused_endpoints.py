"""A paused endpoint: no run starts there, runs under way continue, and its jobs start when it is resumed."""

import asyncio

import pytest

from threadmill import Client, JobState

pytestmark = pytest.mark.integration


async def test_a_claimed_job_starts_no_run_while_its_endpoint_is_paused(worker, until, emulator):
    worker.client.pause_endpoint("emulator", "maintenance")
    job_id = worker.create()
    running = asyncio.create_task(worker.process.run(job_id, None))

    def limit():
        progress = worker.record(job_id).progress_summary
        return progress and progress.limited

    assert (await asyncio.to_thread(until, limit)).reason == "endpoint emulator is paused: maintenance"
    assert not emulator.stats()["runs"]["by_status"]
    worker.client.resume_endpoint("emulator")
    await running
    result = worker.client.wait(job_id, 0)
    assert result.ok
    assert result.timings.limited_s > 0


@pytest.mark.emulated(run_s=1.0)
async def test_a_run_under_way_continues(worker, until):
    job_id = worker.create("Why?")
    running = asyncio.create_task(worker.process.run(job_id, None))
    await asyncio.to_thread(until, lambda: (progress := worker.record(job_id).progress_summary) and progress.run)
    worker.client.pause_endpoint("emulator")
    await running
    assert worker.client.wait(job_id, 0).ok


def test_a_worker_gets_no_job_of_a_paused_endpoint(settings, start_worker, until):
    client = Client(settings)
    start_worker(settings)
    client.pause_endpoint("emulator", "maintenance")
    handles = client.enqueue_many(["Why?"] * 30)
    until(lambda: client.waits_for(handles[0].id) == "emulator, which is paused: maintenance")
    [pool] = client.pools()
    assert (pool.waiting, pool.jobs) == (30, 0)
    assert client.workers()[0].jobs == 0, "no thread and no lease is held by them"

    client.resume_endpoint("emulator")
    assert all(handle.wait(60).ok for handle in handles)
    assert client.get(handles[0].id).state is JobState.SUCCEEDED
