"""The ready queue under any sequence of events: each queued job is in one place, and each job can be run to its end."""

import asyncio
import json
import uuid
from datetime import UTC, datetime

import hypothesis.strategies as st
import pytest
import redis
from hypothesis import Phase, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.changed_scripts import changed_scripts
from tests.integration.worker.holder import Holder
from tests.integration.worker.queue_snapshot import QueueSnapshot

from threadmill import Client, JobState
from threadmill.job.prompt import PromptJob
from threadmill.job.result import TERMINAL
from threadmill.store.keys import Keys
from threadmill_worker.lifecycle.progress import Progress

pytestmark = pytest.mark.integration

BATCHES = ("b", "c")
WORKERS = ("one", "two")

JOBS = st.fixed_dictionaries(
    {},
    optional={
        "priority": st.sampled_from(["high", "low"]),
        "tenant": st.sampled_from(["t", "u"]),
        "batch": st.sampled_from(BATCHES),
        "thread": st.sampled_from(["thread_x", "thread_y"]),
        "delay_s": st.just(600.0),
        "endpoint": st.just("unlimited"),
        "deadline_at": st.just(datetime(2020, 1, 1, tzinfo=UTC)),
    },
).filter(lambda fields: not {"delay_s", "deadline_at"} <= fields.keys())


class ReadyQueue(RuleBasedStateMachine):
    """Jobs in Redis, two workers that claim the messages which the scripts put on the queue, and a client."""

    made = None  #: the settings

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.client = Client(self.made)
        self.keys = Keys(self.made.key_prefix)
        self.store = redis.Redis.from_url(self.made.redis_url, decode_responses=True)
        self.store.delete(self.made.queue, *self.store.keys(f"{self.made.key_prefix}:*"))
        self.store.hset(self.keys.pool("limited"), "set_concurrent", 2)  # workers store limits with their first start
        self.workers = [Holder(self.made, name) for name in WORKERS]
        self.free = dict.fromkeys(WORKERS, 0)  #: slots that each offered last, minus its jobs since
        self.ids: list[str] = []
        self.now = self.look()  #: after the last step
        self.held: dict[str, Holder] = {}
        self.silent: dict[str, Holder] = {}  #: jobs that were rescued from a worker that may come back

    def teardown(self) -> None:
        self.run_all()
        for worker in self.workers:
            self.loop.run_until_complete(worker.close())
        self.loop.close()
        self.store.close()

    def look(self) -> QueueSnapshot:
        return QueueSnapshot(self.store, self.keys, self.made.queue, self.ids, BATCHES)

    def wait(self, work):
        return self.loop.run_until_complete(work)

    def chosen(self, which: int) -> str:
        return self.ids[which % len(self.ids)]

    def state(self, job_id: str) -> str:
        return self.store.hget(self.keys.record(job_id), "state")

    def messages(self) -> list[str]:
        return [json.loads(message)["headers"]["id"] for message in self.store.lrange(self.made.queue, 0, -1)]

    @initialize(jobs=st.lists(JOBS, min_size=1, max_size=6))
    def begin(self, jobs) -> None:
        for fields in jobs:
            self.create(fields)

    @rule(fields=JOBS)
    def create(self, fields) -> None:
        job = PromptJob.model_validate({"prompt": "Why?", "endpoint": "limited", **fields})
        [created] = self.client.store.create([(str(uuid.uuid4()), job)])
        self.ids.append(created.job_id)

    @rule(which=st.integers(0, 1), free=st.integers(0, 3))
    def offer(self, which: int, free: int) -> None:
        worker = self.workers[which]
        leases = [worker.leases[job_id] for job_id, holder in self.held.items() if holder is worker]
        self.free[WORKERS[which]] = free
        news = self.wait(worker.renew(leases, free_slots=free))
        assert set(news.values()) <= {"cancel"}

    @precondition(lambda self: self.now.messages)
    @rule(which=st.integers(0, 1))
    def deliver(self, which: int) -> None:
        job_id = json.loads(self.store.rpop(self.made.queue))["headers"]["id"]
        self.claim(self.workers[which], job_id)

    @rule(which=st.integers(0, 1), job=st.integers(0, 20))
    def deliver_a_message_of_a_foreign_client(self, which: int, job: int) -> None:
        self.claim(self.workers[which], self.chosen(job))

    def claim(self, worker: Holder, job_id: str) -> None:
        before = self.state(job_id)
        if self.wait(worker.take(job_id)):
            assert before == JobState.QUEUED
            self.silent.pop(job_id, None)
            self.held[job_id] = worker
            self.free[worker._name] -= 1

    @precondition(lambda self: self.held)
    @rule(state=st.sampled_from([JobState.SUCCEEDED, JobState.FAILED]))
    def finish(self, state: JobState) -> None:
        job_id, worker = self.held.popitem()
        record = self.wait(worker.get(job_id))
        self.wait(worker.end(record.ended(state, None, datetime.now(UTC))))
        self.free[worker._name] += 1

    @precondition(lambda self: self.held)
    @rule(job=st.integers(0, 20))
    def save(self, job: int) -> None:
        job_id = sorted(self.held)[job % len(self.held)]
        progress = Progress(deadline_at=0, messages=1)
        self.wait(self.held[job_id].save(self.held[job_id].leases[job_id], progress))

    @precondition(lambda self: self.held)
    @rule(is_postponed=st.booleans())
    def hand_back(self, is_postponed: bool) -> None:
        job_id, worker = self.held.popitem()
        assert self.wait(worker.hand_back(worker.leases[job_id], is_postponed=is_postponed))
        self.free[worker._name] += 1

    @precondition(lambda self: self.held)
    @rule()
    def rescue(self) -> None:
        job_id, worker = self.held.popitem()
        self.store.zadd(self.keys.leases, {job_id: 1})
        assert [rescued for rescued, _ in self.wait(self.workers[0].sweep())] == [job_id]
        self.silent[job_id] = worker

    @precondition(lambda self: self.silent)
    @rule(saves=st.booleans(), returns=st.booleans())
    def a_silent_worker_comes_back(self, saves: bool, returns: bool) -> None:
        job_id, worker = self.silent.popitem()
        if self.state(job_id) != JobState.QUEUED:
            return
        if saves:
            self.wait(worker.save(worker.leases[job_id], Progress(deadline_at=0, messages=1)))
        if returns:
            assert self.wait(worker.renew([worker.leases[job_id]])) == {}
            self.held[job_id] = worker

    @precondition(lambda self: self.held)
    @rule()
    def wait_in_the_lane(self) -> None:
        job_id, worker = self.held.popitem()
        request = {"id": job_id, "owner": worker.leases[job_id].owner, "lane": "limited/m", "longest_s": 600}
        assert self.wait(worker._run("lane/wait", **request)) == ["waits"]
        self.free[worker._name] += 1

    @rule(job=st.integers(0, 20))
    def leave_the_lane(self, job: int) -> None:
        job_id = self.chosen(job)
        progress = Progress(deadline_at=0, messages=1).to_json()
        self.wait(self.workers[0]._run("lane/release", id=job_id, name="-", progress=progress))

    @rule(job=st.integers(0, 20))
    def cancel(self, job: int) -> None:
        self.client.cancel(self.chosen(job))
        if self.state(self.chosen(job)) in TERMINAL:
            self.silent.pop(self.chosen(job), None)

    @rule(job=st.integers(0, 20))
    def redrive(self, job: int) -> None:
        self.client.redrive(self.chosen(job))

    @rule(batch=st.sampled_from(BATCHES), is_paused=st.booleans())
    def pause(self, batch: str, is_paused: bool) -> None:
        if self.store.exists(self.keys.batch(batch)):
            (self.client.pause if is_paused else self.client.resume)(batch)

    @rule(batch=st.sampled_from(BATCHES), concurrent=st.sampled_from([None, 1, 2]))
    def limit(self, batch: str, concurrent: int | None) -> None:
        if self.store.exists(self.keys.batch(batch)):
            self.client.limit_batch(batch, concurrent)

    @rule(is_paused=st.booleans())
    def pause_the_endpoint(self, is_paused: bool) -> None:
        (self.client.pause_endpoint if is_paused else self.client.resume_endpoint)("unlimited")

    @rule()
    def purge(self) -> None:
        self.store.delete(self.made.queue)

    @rule()
    def return_undelivered(self) -> None:
        dispatched = self.wait(self.workers[0].undelivered(-1))
        lost = set(dispatched) - set(self.messages())
        assert set(self.wait(self.workers[0].return_to_queue(list(lost)))) == lost

    @rule(job=st.integers(0, 20))
    def return_any(self, job: int) -> None:
        self.wait(self.workers[0].return_to_queue([self.chosen(job)]))

    @rule()
    def adopt(self) -> None:
        _, adopted = self.wait(self.workers[0].adopt(0))
        assert adopted == [], "each job is in its place"

    @rule()
    def time_passes(self) -> None:
        for job_id in self.store.zrange(self.keys.delayed, 0, -1):
            self.store.zadd(self.keys.delayed, {job_id: 1})
            self.store.hset(self.keys.record(job_id), "not_before", 1)

    @invariant()
    def the_queue_is_consistent(self) -> None:
        before, self.now = self.now, self.look()
        self.now.check()
        free = sum(max(0, free) for free in self.free.values())
        assert len(self.now.dispatched) <= max(len(before.dispatched), free), "no more jobs than slots are free"
        assert {name: free for name, free in self.free.items() if name in self.now.slots} == self.now.slots

    def run_all(self) -> None:
        """Runs all jobs to their end: none is lost."""
        for batch in BATCHES:
            self.pause(batch, is_paused=False)
        self.pause_the_endpoint(is_paused=False)
        self.purge()
        for _ in range(40 * len(self.ids)):
            if self.look().have_all_ended:
                break
            while self.held:
                self.finish(JobState.SUCCEEDED)
            for job_id in self.ids:
                self.wait(self.workers[0]._run("lane/release", id=job_id, name="-", progress="{}"))
            self.time_passes()
            self.return_undelivered()
            self.offer(0, 2)
            while self.store.llen(self.made.queue):
                self.deliver(0)
        assert self.look().have_all_ended
        assert self.look().places() == {}


@pytest.mark.parametrize("constants", [{}, {"REFUSALS_AT_ONCE": 1}], ids=["as it is", "several scripts make each pass"])
def test_each_queued_job_is_in_one_place_and_none_is_lost(make_settings, constants):
    limited = {
        "kind": "responses",
        "base_url": "http://127.0.0.1:9/v1",
        "model": "m",
        "limits": {"concurrent": 2, "per_model": False},
    }
    ReadyQueue.made = make_settings(
        "http://127.0.0.1:9/v1",
        endpoints={"limited": limited, "unlimited": limited | {"limits": {}}},
        default_endpoint="limited",
        lease_s=60,
    )
    with changed_scripts("include/passes", **constants):
        run_state_machine_as_test(
            ReadyQueue,
            settings=settings(
                max_examples=12, stateful_step_count=30, deadline=None, phases=[Phase.generate, Phase.shrink]
            ),
        )
