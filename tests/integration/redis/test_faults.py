"""Redis fails at any command of any verb: a producer is told in one way, a worker's job loses nothing."""

import asyncio
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import shared
from tests.conftest import Core
from tests.integration.redis.redis_faults import ASYNC, BLOCKING, LOST, STATES, failing

from threadmill import Client, JobResult, StoreRefused, StoreUnavailable, WaitTimeout
from threadmill.store.store import Store

pytestmark = pytest.mark.integration

emulator = shared.emulator

#: What a producer may do, with the id of a queued job of batch "b".
VERBS = {
    "enqueue": lambda client, job_id: client.enqueue("Well?"),
    "enqueue_many": lambda client, job_id: client.enqueue_many(["One?", "Two?", "Three?"]),
    "get": lambda client, job_id: client.get(job_id),
    "wait": lambda client, job_id: client.wait(job_id, timeout_s=0.01),
    "follow": lambda client, job_id: list(client.follow(job_id, timeout_s=0.01)),
    "cancel": lambda client, job_id: client.cancel(job_id),
    "withdraw": lambda client, job_id: client.withdraw([job_id]),
    "redrive": lambda client, job_id: client.redrive(job_id),
    "jobs": lambda client, job_id: client.jobs(batch="b"),
    "batches": lambda client, job_id: client.batches(),
    "batch": lambda client, job_id: client.batch("b"),
    "pause": lambda client, job_id: client.pause("b"),
    "resume": lambda client, job_id: client.resume("b"),
    "cancel_batch": lambda client, job_id: client.cancel_batch("b"),
    "redrive_batch": lambda client, job_id: client.redrive_batch("b"),
    "threads": lambda client, job_id: client.threads(),
    "leftovers": lambda client, job_id: client.leftovers(),
    "retry_leftovers": lambda client, job_id: client.retry_leftovers(),
    "workers": lambda client, job_id: client.workers(),
    "ping": lambda client, job_id: client.store.ping(),
    "info": lambda client, job_id: client.store.info(),
}


@pytest.fixture(scope="module")
def patient(make_settings):
    return make_settings("http://127.0.0.1:1", redis_outage_tolerance_s=0.2)


@settings(max_examples=150)
@given(
    verb=st.sampled_from(sorted(VERBS)),
    state=st.sampled_from((*STATES, LOST)),
    first=st.integers(0, 4),
    times=st.sampled_from((1, 1000)),
)
def test_a_producer_is_told_that_redis_is_unavailable_and_nothing_else(patient, verb, state, first, times):
    client = Client(patient)
    job_id = client.enqueue({"prompt": "Well?", "batch": "b"}).id
    with failing(BLOCKING, state, first, times), suppress(StoreUnavailable, WaitTimeout):
        VERBS[verb](Client(patient), job_id)


@pytest.mark.parametrize("first", [0, 1, 2])
@pytest.mark.parametrize("state", [STATES[0], STATES[7], LOST])
def test_enqueue_many_says_which_jobs_are_in(make_settings, monkeypatch, state, first):
    monkeypatch.setattr("threadmill.store.connection.CHUNK", 2)
    client = Client(make_settings("http://127.0.0.1:1"))
    jobs = [{"prompt": f"Job {number}", "metadata": {"number": str(number)}} for number in range(6)]
    client.enqueue(jobs[0])  # the scripts are loaded, the queue is declared

    with failing(BLOCKING, state, first, 1000), pytest.raises(StoreUnavailable) as stopped:
        client.enqueue_many(jobs)

    error = stopped.value
    there = {int(record.job.metadata["number"]): record.id for record in client.jobs()[:-1]}
    assert {at: handle.id for at, handle in error.enqueued.items()}.items() <= there.items()
    assert there.keys() <= {*error.enqueued, *error.unknown}
    if error.enqueued or error.unknown:
        assert f"{len(error.enqueued)} of 6 jobs are enqueued" in str(error)


def test_jobs_that_redis_took_in_beside_others_are_enqueued(make_settings, monkeypatch):
    """Redis may run out of memory, and have some again, within one round trip."""

    def create_every_other(self, jobs, trace):
        made = iter(create(self, jobs[::2], trace))
        return [StoreRefused("redis://h", "is out of memory", "-") if at % 2 else next(made) for at in range(len(jobs))]

    create = Store.create
    made = make_settings("http://127.0.0.1:1")
    monkeypatch.setattr(Store, "create", create_every_other)

    with pytest.raises(StoreRefused, match=r"is out of memory.*3 of 6 jobs are enqueued\.") as stopped:
        Client(made).enqueue_many([f"Job {number}" for number in range(6)])

    assert list(stopped.value.enqueued) == [0, 2, 4]
    assert not stopped.value.unknown
    assert {record.id for record in Client(made).jobs()} == {handle.id for handle in stopped.value.enqueued.values()}


@settings(max_examples=25)
@given(state=st.sampled_from((*STATES, LOST)), first=st.integers(0, 25), times=st.integers(1, 3))
def test_a_job_loses_no_attempt_to_redis(make_settings, emulator, state, first, times):
    async def run() -> JobResult:
        core = Core(make_settings(emulator.base_url))
        job_id = core.create("[[scenario=echo run_s=0]]Well?", batch="b")
        try:
            with failing(ASYNC, state, first, times):
                await core.process.run(job_id, None)
            return core.client.wait(job_id, timeout_s=0)
        finally:
            await core.process.close()

    result = asyncio.run(run())
    assert (result.text, result.attempts, result.runs) == ("Well?", 1, 1)
