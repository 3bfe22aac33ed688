"""The setting `fallback`: a job whose endpoint is shut, out of quota or down goes to another one."""

import asyncio
import time

import pytest
from tests.integration.worker.test_elsewhere import answering
from tests.integration.worker.test_files import SCHEMA

from threadmill import FailureKind, JobState
from threadmill.settings.endpoints.limits import Limits

pytestmark = pytest.mark.integration

QUOTA = answering(429, {"error": {"message": "You exceeded your current quota.", "code": "insufficient_quota"}})
SHUT = answering(429, {"error": {"message": "Rate limit reached.", "code": "rate_limit_exceeded"}}, retry_after="60")


@pytest.fixture
def two(make_settings, emulator, worker_of):
    """A worker with the endpoints `first`, at the given URL, and `second`, the emulator."""

    def start(first_url, second_url=emulator.base_url, **fields):
        made = make_settings(emulator.base_url)
        second = made.endpoints["emulator"].model_copy(update={"base_url": second_url})
        fields = {"base_url": first_url, "fallback": ("second",), "unreachable_limit_s": 0.3, **fields}
        first = second.model_copy(update=fields)
        endpoints = {"first": first, "second": second}
        return worker_of(made.model_copy(update={"endpoints": endpoints, "default_endpoint": "first"}))

    return start


async def dispatch(worker):
    """Offers free slots, and runs the jobs whose messages are on the queue then."""
    for job_id in await take_messages(worker):
        await worker.process.run(job_id, None)


async def take_messages(worker):
    """Offers free slots, and returns the jobs whose messages are on the queue then."""
    await worker.process._job_store.renew([], free_slots=9)
    return worker.take_messages()


async def finish(worker, job_id, times=3):
    for _ in range(times):
        await dispatch(worker)
    return worker.client.wait(job_id, timeout_s=0)


@pytest.mark.parametrize("url", [QUOTA, SHUT, None], ids=["out of quota", "shut", "down"])
async def test_a_job_goes_elsewhere_and_the_result_names_who_answered(two, serve, emulator, url):
    worker = two(serve(url) if url else "http://127.0.0.1:1/v1")
    result = await finish(worker, worker.create())

    assert (result.state, result.endpoint, result.attempts) == (JobState.SUCCEEDED, "second", 1)
    assert emulator.threads() == 0
    [move] = worker.record(result.job_id).moves
    assert move.endpoint == "first"


async def test_later_jobs_start_on_the_fallback_at_once(two, serve):
    worker = two(serve(SHUT))
    await finish(worker, worker.create())
    later = await finish(worker, worker.create(), times=1)

    assert (later.state, later.endpoint) == (JobState.SUCCEEDED, "second")
    assert not worker.record(later.job_id).moves


async def test_jobs_return_to_their_endpoint_when_it_opens(two, emulator, store):
    worker = two(emulator.base_url)
    key = f"{worker.settings.key_prefix}:pool:first"
    store.hset(key, "shut_until", time.time() + 60)
    assert (await finish(worker, worker.create(), times=1)).endpoint == "second"
    store.hset(key, "shut_until", time.time() - 1)
    assert (await finish(worker, worker.create(), times=1)).endpoint == "first"


async def test_a_job_does_not_move_only_because_it_waits_for_its_turn(two, emulator, store):
    worker = two(emulator.base_url)
    store.hset(f"{worker.settings.key_prefix}:pool:first", "shut_until", time.time() + 2)
    job_id = worker.create()
    await dispatch(worker)
    assert worker.record(job_id).state is JobState.QUEUED


async def test_if_all_endpoints_fail_the_job_fails_once_and_names_them(two, serve):
    worker = two(serve(QUOTA), serve(QUOTA))
    result = await finish(worker, worker.create())

    assert (result.failure.kind, result.endpoint) == (FailureKind.QUOTA, "second")
    assert "before that, endpoint 'first': 429 You exceeded your current quota." in result.failure.message


@pytest.mark.parametrize("fields", [{"keep_thread": True}, {"thread": "thread_1"}, {"assistant": "asst_1"}])
async def test_a_job_that_needs_its_own_endpoint_stays(two, serve, fields):
    worker = two(serve(QUOTA))
    result = await finish(worker, worker.create(**fields))

    assert (result.failure.kind, result.endpoint) == (FailureKind.QUOTA, "first")


async def test_a_paused_endpoint_is_passed_over(two, emulator):
    worker = two(emulator.base_url)
    worker.client.pause_endpoint("first", "maintenance")
    assert (await finish(worker, worker.create(), times=1)).endpoint == "second"


async def test_a_job_waits_for_its_place_in_the_row_of_its_own_endpoint(two, emulator):
    worker = two(emulator.base_url, limits=Limits(requests_per_minute=4))
    job_ids = [worker.create(), worker.create()]
    running = [asyncio.create_task(worker.process.run(job_id, None)) for job_id in await take_messages(worker)]
    await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.wait(running, timeout=0.5)

    assert sorted(worker.record(job_id).state for job_id in job_ids) == [JobState.RUNNING, JobState.SUCCEEDED]
    assert not any(worker.record(job_id).moves for job_id in job_ids)


async def test_a_job_that_has_cost_something_waits_for_its_own_endpoint(two, emulator):
    worker = two(emulator.base_url, limits=Limits(requests_per_minute=2))
    job_id = worker.create("[[scenario=echo]]three", response_format=SCHEMA)  # its first answer is no JSON
    [message] = await take_messages(worker)
    await asyncio.wait([asyncio.create_task(worker.process.run(message, None))], timeout=1)

    assert (worker.record(job_id).state, worker.record(job_id).moves) == (JobState.RUNNING, ())


async def test_a_redriven_job_starts_on_its_own_endpoint(two, serve, emulator, store):
    worker = two(serve(QUOTA), serve(QUOTA))
    failed = await finish(worker, worker.create())
    worker.client.redrive(failed.job_id)
    assert not worker.record(failed.job_id).moves


async def test_a_job_does_not_move_to_an_endpoint_that_its_producer_did_not_know(two, serve):
    worker = two(serve(QUOTA))
    settings = worker.settings
    alone = settings.endpoints["first"].model_copy(update={"fallback": ()})
    endpoints = {**settings.endpoints, "first": alone}
    producer = type(worker)(settings.model_copy(update={"endpoints": endpoints}))
    result = await finish(worker, producer.create(), times=1)
    await producer.process.close()

    assert (result.failure.kind, result.endpoint) == (FailureKind.QUOTA, "first")


async def test_a_job_that_has_moved_holds_no_other_back(two, serve, store):
    worker = two(serve(QUOTA))
    pool = f"{worker.settings.key_prefix}:pool:"
    moved = worker.create()
    [message] = await take_messages(worker)
    store.hset(f"{pool}second", "shut_until", time.time() + 60)
    await worker.process.run(message, None)
    store.hdel(f"{pool}first", "down_until")  # its account has quota again
    later = worker.create()

    assert await take_messages(worker) == [later]
    assert worker.record(moved).state is JobState.QUEUED
