"""Any damage to a job's record: the job ends in one result, or is refused by name, and nobody else notices."""

import asyncio
import uuid
from contextlib import suppress

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.integration.worker.mutations import mutated

from threadmill import Client, FailureKind, JobNotFound, JobState, PromptJob, UnreadableRecord, WaitTimeout
from threadmill.job.result import TERMINAL
from threadmill.store.keys import Keys
from threadmill_worker.attempt.context.contexts import Contexts
from threadmill_worker.attempt.context.not_served import NotServed
from threadmill_worker.lifecycle.progress import Leftover, Progress
from threadmill_worker.process import WorkerProcess

pytestmark = pytest.mark.integration

#: Fields that a record of another version may have, or of another moment.
EXTRA = (
    "remote_batch",
    "cancel_requested",
    "owner",
    "turn",
    "batch",
    "tenant",
    "key",
    "counted",
    "own_process",
    "flow",
    "pool",
    "not_before",
    "deadline_at",
    "limited_from",
    "limited_s",
    "mood",
)

PROGRESS = Progress(deadline_at=9e9, messages=1, thread_id="thread_1", leftovers=(Leftover("thread", "thread_1"),))


class Bench:
    """A worker and a client on one Redis. Its server refuses every job, which is the quickest end of a sound one."""

    def __init__(self, made):
        self.client = Client(made)
        self.raw = redis.Redis.from_url(made.redis_url)
        self.keys = Keys(made.key_prefix)
        self.loop = asyncio.new_event_loop()
        self.process = self.await_(self._start(made))

    async def _start(self, made):
        return WorkerProcess(made)

    def await_(self, work):
        return self.loop.run_until_complete(work)

    def clear(self):
        if keys := list(self.raw.scan_iter(f"{self.keys.prefix}*", 10_000)):
            self.raw.delete(*keys)

    def create(self, kind):
        """A job's record in some state: its id."""
        job = PromptJob(prompt="Why?", batch="b", endpoint="emulator", metadata={"order": "1"})
        [created] = self.client.store.create([(str(uuid.uuid4()), job)])
        job_id = created.job_id
        if kind == "running":
            held = {"state": "running", "owner": "w:1", "attempts": 1, "started_at": 1, "progress": PROGRESS.to_json()}
            self.raw.hset(self.keys.record(job_id), mapping=held)
            self.raw.zrem(self.keys.jobs(JobState.QUEUED), job_id)
            for key in (self.keys.jobs(JobState.RUNNING), f"{self.keys.prefix}:leases"):
                self.raw.zadd(key, {job_id: 1})
        if kind in ("cancelled", "redriven"):
            self.client.store.cancel(job_id)
        if kind == "redriven":
            self.client.store.redrive(job_id)
        return job_id

    def look(self, job_id):
        """Whatever somebody may look at."""
        self.client.jobs()
        self.client.unreadable_jobs()
        self.client.batches()
        self.client.batch("b")
        with suppress(UnreadableRecord, JobNotFound):
            self.client.get(job_id)
        with suppress(UnreadableRecord, JobNotFound, WaitTimeout):
            self.client.wait(job_id, timeout_s=0)
        with suppress(UnreadableRecord, JobNotFound, WaitTimeout):
            list(self.client.follow(job_id, timeout_s=0))

    def sweep(self):
        self.await_(self.process._job_store.rescue(4))
        self.await_(self.process._job_store.renew([], free_slots=9))
        self.await_(self.process._job_store.return_to_queue(self.await_(self.process._job_store.undelivered(0))))
        self.await_(self.process._job_store.adopt(0))


@pytest.fixture(scope="module")
def bench(make_settings):
    async def refuse(self, record):
        raise NotServed(FailureKind.REJECTED, "no server today")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Contexts, "open", refuse)
        opened = Bench(make_settings("http://127.0.0.1:1/v1", lease_s=60, sweep_interval_s=3600))
        yield opened
        opened.await_(opened.process.close())
        opened.loop.close()


@given(data=st.data())
@settings(max_examples=80)
def test_any_record_ends_in_one_result_and_hides_no_other(bench, data):
    bench.clear()
    job_id = bench.create(data.draw(st.sampled_from(["queued", "running", "cancelled", "redriven"])))
    record = bench.keys.record(job_id)
    fields = bench.raw.hgetall(record)
    names = st.sampled_from(sorted({*fields, *(each.encode() for each in EXTRA)}))
    for name in data.draw(st.lists(names, min_size=1, max_size=2, unique=True)):
        if data.draw(st.integers(0, 4)):
            fields[name] = data.draw(st.one_of(mutated(fields.get(name, b"1")), st.just(b"2026-01-01")))
        else:
            fields.pop(name, None)
    bench.raw.delete(record, bench.keys.batch_done("b"))
    if fields:
        bench.raw.hset(record, mapping=fields)

    bench.look(job_id)
    bench.sweep()
    if data.draw(st.booleans()):
        bench.await_(bench.process.run(job_id, None))
        bench.look(job_id)
    with suppress(UnreadableRecord, JobNotFound):
        bench.client.cancel(job_id)

    if fields:
        try:
            state = bench.client.wait(job_id, timeout_s=0).state
        except UnreadableRecord:
            state = JobState(bench.raw.hget(record, "state").decode())
        except WaitTimeout:
            assert bench.raw.hexists(record, "cancel_requested"), "its worker is asked to end it"
            state = JobState.RUNNING
        assert state in TERMINAL or state is JobState.RUNNING
        assert sum(entry[b"job"] == job_id.encode() for _, entry in bench.raw.xrange(bench.keys.batch_done("b"))) <= 1

    sound = bench.create("queued")
    bench.await_(bench.process.run(sound, None))
    assert bench.client.wait(sound, timeout_s=0).failure.kind is FailureKind.REJECTED
