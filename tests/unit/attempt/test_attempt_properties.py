"""The runner itself, killed, cancelled and cut off at every step: the same promises as the lifecycle's."""

import asyncio
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import structlog
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.lifecycle.model_server import ModelServer, answer_of
from tests.unit.lifecycle.model_worker import CANCELS, CRASHES, LIMITS, PRICED, START, UNCALLED, UNSENT, Fault
from tests.unit.lifecycle.test_properties import faults, lives

from threadmill.job.events.timeline import from_json
from threadmill.job.message import Message
from threadmill.job.prompt import PromptJob
from threadmill.job.result import Failure, FailureKind, JobResult, JobState
from threadmill.settings.endpoints.limits import Limits, PoolLimits
from threadmill.store.records.job import JobRecord
from threadmill_worker.attempt.attempt import Attempt
from threadmill_worker.attempt.context.contexts import AttemptContext
from threadmill_worker.drivers.requests.job_spec import JobSpec
from threadmill_worker.files.attachments import Attachment, Attachments
from threadmill_worker.lifecycle.actions import RemoteAction
from threadmill_worker.lifecycle.observations import (
    LaneClosed,
    NotSent,
    Observation,
    OutputReady,
    Rejected,
    ToolCall,
    Unknown,
)
from threadmill_worker.lifecycle.progress import Features, Progress
from threadmill_worker.limits.job_pool import JobPool
from threadmill_worker.live.buffer import EventBuffer
from threadmill_worker.store.jobs import AwaitedRun, Lease, LeftPool, Postponed

MOST_CALLS = 1000

LEASE = Lease("job", "a-worker:1")

FEATURES = Features(uploads=1, search=True, steps=True)
ATTACHMENTS = Attachments((Attachment("a.txt", "text/plain", 1, "sha", "assistants", ("file_search",), lambda: b"a"),))


class Crash(BaseException):
    """The worker is gone; the next one takes up the saved place."""


class World:
    """JobStore, driver and toolbox of one attempt after another, on one model server and one clock."""

    awaits_run = False
    has_stream = True  #: one that shows no change
    rate_info = None

    def __init__(self, server: ModelServer, faults: list[Fault], job: PromptJob) -> None:
        self.server = server
        self.now = START
        self.calls = 0
        self.saved: str | None = None
        self.happened: set[Fault] = set()
        self.leftovers: set[str] = set()
        self.executed: Counter[str] = Counter()  #: tool calls, by arguments
        self.journaled: set[str] = set()  #: those whose output has been saved
        self._faults = iter(faults)
        self._job = job
        self._spec = JobSpec("job", job, "model", FEATURES, assistant="asst", attachments=ATTACHMENTS)
        self._cancel_requested = False

    async def execute(self) -> JobResult:
        while True:
            self.attempt = Attempt(
                LEASE,
                self._record(),
                AttemptContext(self._spec, self, self, LIMITS, EventBuffer(), self._pool()),
                self,
                self.clock,
                self.sleep,
            )  # type: ignore[arg-type]
            try:
                return await self.attempt.execute()
            except Crash:
                continue
            except asyncio.CancelledError:
                assert self.happened & {Fault.LEAVE}

    def _record(self) -> JobRecord:
        began = datetime.fromtimestamp(START, UTC)
        return JobRecord(
            id="job", state=JobState.RUNNING, job=self._job, created_at=began, started_at=began,
            progress=self.saved, cancel_requested=self._cancel_requested,
        )  # fmt: skip

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)

    def _pool(self) -> JobPool:
        return JobPool("emulator", self._spec, Limits(), PoolLimits())

    async def save(
        self,
        lease: Lease,
        progress: Progress,
        start: dict[str, Any] | None,
        news: list[dict[str, Any]],
        awaited: AwaitedRun | None,
        timeline: str | None,
    ) -> Postponed | None:
        fault = self._next({*CRASHES, Fault.LIMITED})
        if fault is Fault.CRASH_UNSAVED:
            raise Crash
        if fault is Fault.LIMITED and start is not None:
            return Postponed(self.now + 7.0, "10 requests a minute", "")
        self.saved = progress.to_json()
        if progress.run is not None:
            asked = {call.id: call.arguments for call in progress.run.calls}
            self.journaled |= {asked[call_id] for call_id in progress.run.outputs if call_id in asked}
        return None

    async def finish(
        self,
        lease: Lease,
        result: JobResult,
        leftovers: Any,
        kept: Any,
        remains: Any,
        left: LeftPool,
        sender: str,
        timeline: str,
    ) -> None:
        assert left.pool == "emulator"
        self.timeline = from_json(timeline)
        if self._next(CRASHES) in CRASHES:
            raise Crash
        self.leftovers = {leftover.id for leftover in leftovers}

    async def do(self, action: RemoteAction, progress: Progress) -> Observation:
        self.calls += 1
        assert self.calls < MOST_CALLS, "the job does not end"
        fault = self._next(set(Fault)) if action not in UNCALLED else Fault.NONE
        if fault is Fault.NO_CAPACITY and not isinstance(action, PRICED):
            fault = Fault.NONE
        self.now += 4 if fault is Fault.SLOW else 0.1
        if fault is Fault.CRASH_BEFORE:
            raise Crash
        if fault is Fault.CANCEL_BEFORE:
            await self._cancel()
        view = Unknown("reset") if fault in UNSENT else self.server.do(action, progress, self.now)
        match fault:
            case Fault.CRASH_AFTER | Fault.CRASH_UNSAVED:
                raise Crash
            case Fault.CANCEL_AFTER:
                await self._cancel()
            case Fault.LEAVE:
                self.attempt.leave()
            case Fault.LOST_AFTER:
                return Unknown("timeout")
            case Fault.BUSY | Fault.BUSY_LONG:
                return NotSent("slow down")
            case Fault.NO_CAPACITY:
                return LaneClosed("no capacity", passes=True)
            case Fault.REFUSED:
                return Rejected(Failure(kind=FailureKind.UNAUTHORISED, message="401"))
            case Fault.THREAD_GONE:
                self.server.threads.pop(progress.thread_id or "", None)
        return view

    async def run_changed(self) -> None:
        await asyncio.Event().wait()

    async def close(self) -> None:
        pass

    async def call(self, call: ToolCall, thread_id: str, assistant: str, time_left_s: float) -> OutputReady:
        assert call.arguments not in self.journaled, "a finished tool call runs again"
        self.executed[call.arguments] += 1
        await asyncio.sleep(0)
        return OutputReady(call.id, f"output of {call.id}")

    async def _cancel(self) -> None:
        self._cancel_requested = True
        self.attempt.cancel()
        await asyncio.sleep(0)  # where the cancellation arrives, if the attempt still takes one

    def _next(self, felt: set[Fault]) -> Fault:
        fault = next(self._faults, Fault.NONE)
        if fault in felt:
            self.happened.add(fault)
        if fault is Fault.JUMP:
            self.now += 20
        return fault


@settings(max_examples=200, deadline=None)
@given(
    st.builds(ModelServer, st.lists(lives, min_size=1, max_size=3), undeletable=st.integers(0, 2), tells=st.booleans()),
    faults,
    st.sampled_from([1, 32, 34]),
    st.sampled_from([1000.0, 180.0, 30.0]),
)
def test_a_job_outlives_its_workers_and_leaves_nothing_behind(
    server: ModelServer, faults: list[Fault], messages: int, timeout_s: float
) -> None:
    job = PromptJob(messages=(Message(content="Well?"),) * messages, timeout_s=timeout_s)
    world = World(server, faults, job)
    with structlog.testing.capture_logs():
        result = asyncio.run(world.execute())
    server.live_on(world.now)

    assert sum(run.life.end != "rate_limit_exceeded" for run in server.runs) <= 1 + LIMITS.max_reruns
    if result.ok:
        assert server.runs[-1].status == "completed"
        assert result.content == answer_of(server.runs[-1])
    stoppable = [run for run in server.runs if run.life.stop in ("at once", "slow")]
    assert sum(run.status == "completed" for run in stoppable) <= 1 or Fault.THREAD_GONE in world.happened
    if result.state is JobState.CANCELLED:
        assert world.happened & CANCELS
    accepted = Counter(call for run in server.runs for call in run.accepted)
    assert set(accepted.values()) <= {1}
    if world.happened <= {Fault.LEAVE, Fault.SLOW, Fault.JUMP}:
        assert (result.lost_threads, result.lost_runs, result.lost_files) == (0, 0, 0)
    if not world.happened & (CRASHES | CANCELS):
        assert set(world.executed.values()) <= {1}
    assert len(server.threads.keys() - world.leftovers) <= result.lost_threads
    made = {file_id for run in server.runs for file_id in run.made}
    assert len((server.files - made | server.stores.keys()) - world.leftovers) <= result.lost_files
    if not world.happened & {Fault.THREAD_GONE, *UNSENT, *CRASHES, Fault.LOST_AFTER}:
        seen = [run for run in server.runs[-1:] if run.life.stop in ("at once", "slow")]  # others may end unseen
        assert not {file_id for run in seen for file_id in run.made} & server.files
