"""Executes one job: repeats the action that the lifecycle decides on, and saves the progress before each."""

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Any

from threadmill.job.events.event import EventKind
from threadmill.job.events.timeline import TimelineKind
from threadmill.job.result import JobResult
from threadmill.store.records.job import JobRecord, Move
from threadmill.store.records.remote import KeptThread
from threadmill.store.records.worker import FailingEndpoint
from threadmill_worker.attempt.context.contexts import AttemptContext
from threadmill_worker.attempt.context.moving import reason_to_move, too_long
from threadmill_worker.attempt.ending import end_of, kept_thread, leftovers_of, moment, result_of, shortened
from threadmill_worker.attempt.report import AttemptReport
from threadmill_worker.attempt.shared_objects import SharedObjects
from threadmill_worker.attempt.timeline import AttemptTimeline
from threadmill_worker.drivers.base.driver import within
from threadmill_worker.lifecycle.actions import (
    Action,
    CallTools,
    CreateStore,
    CreateThread,
    Finish,
    Making,
    RemoteAction,
    Sending,
    StartRun,
    Upload,
    Wait,
)
from threadmill_worker.lifecycle.decide import advance, intend, is_worth_saving, time_limit
from threadmill_worker.lifecycle.observations import (
    ENDED,
    Limited,
    NotSent,
    Observation,
    OutputReady,
    RunChanged,
    ToolCall,
    Unknown,
)
from threadmill_worker.lifecycle.observe import observe
from threadmill_worker.lifecycle.progress import CurrentRun, Outcome, Progress
from threadmill_worker.lifecycle.replace import replace
from threadmill_worker.lifecycle.steps.clean_up import keeps_thread
from threadmill_worker.lifecycle.steps.recovery.limits import stop_waiting
from threadmill_worker.store.jobs import AwaitedRun, JobStore, Lease, LeftPool

#: Waits are longer by up to this share, so that jobs enqueued together do not poll together. A pool that lets a call
#: wait has chosen the time for this call alone.
JITTER = 0.1

#: The most that a poll at a planned time is later, in seconds: the plan is of little use if polls miss it.
PLANNED_JITTER_S = 0.1

#: How long after the deadline of a job a webhook can still wake it, in seconds: it cancels its run, and cleans up.
AWAITED_LONGER_S = 600


class Attempt:
    """One execution of a claimed job, from its saved progress to its end."""

    in_child = False

    def __init__(
        self,
        lease: Lease,
        record: JobRecord,
        context: AttemptContext,
        job_store: JobStore,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._lease = lease
        self._record = record
        self._context = context
        self._job_store = job_store
        self._clock = clock
        self._sleep = sleep
        self._shared = SharedObjects(record, context.spec, job_store, sleep)
        self._progress = Progress.of(record) or Progress.begin(record, context.spec.features, context.spec.key)
        self._saved = self._progress if record.progress else None
        self._progress = stop_waiting(self._progress, clock())  # what an earlier worker waited for may be over
        if record.job.stream or context.polling.receives_webhooks:  # the earlier worker polled rarely because of these
            self._progress = replace(self._progress, poll_at=0.0)
        self._calls_before = max(self._progress.calls, record.calls)
        self._cancel_requested = record.cancel_requested
        self._interruptions = 0
        self._sending = False  #: a call that creates something is in flight
        self._is_leaving = False
        self._task: asyncio.Task[JobResult | None] | None = None
        self._report = AttemptReport(record, context, clock)

    async def execute(self) -> JobResult | None:
        """Runs the job to its end. None: it needs another run, which the batch lane starts, or another endpoint.

        Raises LeaseLost. After CancelledError, another attempt can continue from the saved progress.
        """
        self._task = asyncio.current_task()
        async with AsyncExitStack() as closing:
            closing.push_async_callback(self._context.events.close)
            closing.push_async_callback(self._context.driver.close)
            closing.callback(self._context.spans.close)
            return await self._execute()

    async def _execute(self) -> JobResult | None:
        while True:
            if self._is_leaving:
                await self._save()
                raise asyncio.CancelledError
            action = self._advance()
            if isinstance(action, Finish):
                if self._context.may_go_elsewhere and (reason := reason_to_move(self._progress, action.outcome)):
                    await self._move(reason)
                    return None
                return await self._finish(action.outcome)
            if self._context.spec.batch_lane is not None and isinstance(action, StartRun):
                await self._save()
                return None
            self._sending = isinstance(action, Sending)
            try:
                await self._carry_out(action)
            except asyncio.CancelledError:
                # The outcome of an interrupted call is unknown, as after a lost reply: its intent stays.
                if not self._was_cancelled_alone():
                    raise

    def cancel(self) -> None:
        """Cancels the job at the user's request: cancels the remote run and deletes the remote objects.

        A call that creates something completes first, so that its object need not be searched for. A call whose
        reply comes only when the run has ended is interrupted.
        Repeat it until the job ends: under Python 3.11 redis-py sometimes swallows a cancellation.
        """
        if not self._cancel_requested:
            self._report.timeline.note(TimelineKind.CANCEL_ASKED)
        self._cancel_requested = True
        completes_soon = (
            self._sending and not self._context.driver.awaits_run
        )  # otherwise it may last as long as the run
        if self._task is not None and self._progress.outcome is None and not completes_soon:
            self._interruptions += 1
            self._task.cancel()

    def run_ended(self, run_id: str) -> None:
        """Polls the run soon: a webhook says that it has ended."""
        self._context.polling.run_ended(run_id)

    def leave(self) -> bool:
        """Starts no new call. Returns whether the task can be stopped now without a call of unknown outcome."""
        self._is_leaving = True
        return not self._sending

    def _was_cancelled_alone(self) -> bool:
        """Whether the task was interrupted by `cancel` alone, and not to hand the job back as well."""
        interruptions, self._interruptions = self._interruptions, 0
        if self._task is None or not interruptions:
            return False
        return [self._task.uncancel() for _ in range(interruptions)][-1] == 0

    def _advance(self) -> Action:
        before = self._progress
        self._progress, action = advance(before, self._context.limits, self._clock(), cancelled=self._cancel_requested)
        self._changed(before)
        return action

    async def _carry_out(self, action: Action) -> None:
        before = self._progress
        self._progress = intend(before, action, self._clock())
        if (limited := await self._save(action)) is not None:
            self._progress = before  # without the intent: nothing is sent
            self._observe(action, limited)
            self._report.start_limited(action, limited, self._clock())
            return
        match action:
            case Wait(until):
                if self._context.may_go_elsewhere and (failure := too_long(self._progress, until, self._clock())):
                    self._progress = self._progress.without_errors().failed(failure)  # cleans up, and then moves
                else:
                    await self._wait(action, until)
            case CallTools(calls, until):
                await self._call_tools(action, calls, until)
            case Upload() | CreateStore() | CreateThread():
                self._observe(action, await self._create(action))
            case Finish():
                raise AssertionError("_execute handles it")
            case _:
                self._observe(action, await self._do(action))

    async def _do(self, action: RemoteAction) -> Observation:
        """Makes a call of the driver within the job's time limit."""
        sent_at, context = self._clock(), self._context
        limit_s = time_limit(self._progress, action, context.limits, sent_at)
        context.spans.sends(action, self._progress)
        seen = await within(limit_s, context.driver.do(action, self._progress))
        context.pool.replied(action, seen, sent_at, context.driver)
        if isinstance(seen, NotSent | Unknown) and seen.is_refusal:
            context.metrics.start_refused(context.spec.endpoint)
        return seen

    async def _create(self, action: Making) -> Observation:
        """Creates an object, unless the job's batch already has an equal one."""
        return await self._shared.create(action, self._progress, lambda: self._do(action), self._is_ending)

    def _is_ending(self) -> bool:
        return self._cancel_requested or self._clock() >= self._progress.deadline_at

    async def _wait(self, action: Wait, until: float) -> None:
        wait_s = max(0.0, until - self._clock())
        longest_s = max(wait_s, self._progress.deadline_at - self._clock())
        sleep = self._sleep(min(wait_s + self._jitter_s(until, wait_s), longest_s))
        signals = [asyncio.ensure_future(signal) for signal in self._signals()]
        if not signals:
            await sleep
            return
        timer = asyncio.ensure_future(sleep)
        try:
            await asyncio.wait((timer, *signals), return_when=asyncio.FIRST_COMPLETED)
            if any(signal.done() for signal in signals):
                self._observe(action, RunChanged())
        finally:
            for each in (timer, *signals):
                each.cancel()

    def _signals(self) -> Iterator[Coroutine[Any, Any, None]]:
        """Yields what ends when the run has changed, and may be polled at once."""
        if self._context.driver.has_stream:
            yield self._context.driver.run_changed()
        if (run := self._awaited_run()) is not None:
            yield self._context.polling.run_end(run.id)

    def _awaited_run(self) -> CurrentRun | None:
        """The run whose end a webhook may tell."""
        run = self._progress.run
        is_told = self._context.polling.receives_webhooks and run is not None and run.status not in ENDED
        return run if is_told else None

    def _jitter_s(self, until: float, wait_s: float) -> float:
        limit, most_s = self._progress.limited, wait_s * JITTER
        if limit is not None and limit.until == until:
            return 0.0
        if until == self._progress.poll_at and self._context.polling.plan.ages_s:
            most_s = min(most_s, PLANNED_JITTER_S)
        return random.random() * most_s

    async def _call_tools(self, action: CallTools, calls: tuple[ToolCall, ...], until: float) -> None:
        """Executes the calls concurrently and saves each output as it arrives, so that no finished call is repeated."""
        thread, emit, note = self._progress.thread_id or "", self._context.events.emit, self._report.timeline.note

        async def call_one(call: ToolCall) -> OutputReady:
            emit(EventKind.TOOL_CALL, call_id=call.id, name=call.name, arguments=call.arguments)
            note(TimelineKind.TOOL_CALL, f"{call.name} {call.arguments}")
            with self._context.spans.tool_call(call) as span:
                left_s = until - self._clock()
                seen = await self._context.executor.call(call, thread, self._context.spec.assistant, left_s)
                span.ended(seen)
            emit(EventKind.TOOL_OUTPUT, call_id=call.id, name=call.name, output=seen.output)
            note(TimelineKind.TOOL_OUTPUT, f"{call.name} {seen.output}")
            return seen

        tasks = [asyncio.create_task(call_one(call), name=f"tool {call.name}") for call in calls]
        try:
            for done in asyncio.as_completed(tasks):
                self._observe(action, await done)
                await self._save()
        finally:
            for task in tasks:
                task.cancel()

    def _observe(self, action: Action, seen: Observation) -> None:
        before, now, polling = self._progress, self._clock(), self._context.polling
        polling.observed(before, seen, now)
        self._progress = observe(before, action, seen, self._context.limits, now, polling.plan)
        if self._progress.errors.count > before.errors.count:
            self._report.call_failed(action, seen, self._progress)
        if self._progress.limited_runs > before.limited_runs and self._progress.limited is not None:
            started_at = before.run.started_at if before.run else self._clock()
            self._context.pool.run_limited(self._progress.limited.reason, started_at)
            self._context.metrics.start_refused(self._context.spec.endpoint)
        self._changed(before)

    def _changed(self, before: Progress) -> None:
        self._report.changed(before, self._progress)
        self._context.spans.changed(self._progress)

    async def _save(self, action: Action | None = None) -> Limited | None:
        """Saves the progress, if need be, before the action. Limited: the pool of the job lets the action wait."""
        pool = self._context.pool
        start = pool.start(action, self._progress)
        must_save = start is not None or pool.was_refused
        if not must_save and not is_worth_saving(self._progress, self._saved, action, self._clock()):
            return None
        progress, news, timeline = self._counted(), pool.take_news(), self._report.timeline
        entries = timeline.entries
        awaited, unsaved = self._awaited(), timeline.unsaved
        postponed = await self._job_store.save(self._lease, progress, start, news, awaited, unsaved)
        if postponed is not None:
            return pool.postponed(postponed)
        self._progress = self._saved = progress
        timeline.saved(entries)
        if start is not None:
            pool.started()
        return None

    def _awaited(self) -> AwaitedRun | None:
        if (run := self._awaited_run()) is None:
            return None
        left_s = max(0.0, self._progress.deadline_at - self._clock())
        return AwaitedRun(self._context.spec.endpoint, run.id, math.ceil(left_s + AWAITED_LONGER_S))

    @property
    def calls(self) -> int:
        """HTTP calls made for the job so far, by earlier attempts too."""
        return self._calls_before + self._context.driver.calls

    @property
    def timeline(self) -> AttemptTimeline:
        return self._report.timeline

    def left_pool(self) -> LeftPool:
        """How the job leaves its pool now."""
        return self._context.pool.leave(self._progress)

    def _counted(self) -> Progress:
        return replace(self._progress, calls=self.calls)

    async def _move(self, reason: str) -> None:
        """Returns the job to the queue, for another endpoint."""
        await self._context.events.close()
        spec, record = self._context.spec, self._record
        moves = (*record.moves, Move(endpoint=spec.endpoint, reason=reason))
        leftovers = leftovers_of(spec, self._progress)
        self._report.timeline.note(TimelineKind.MOVED, f"from endpoint {spec.endpoint}: {reason}")
        timeline = self._report.timeline.unsaved
        await self._job_store.move(self._lease, moves, self.calls, leftovers, self.left_pool(), timeline)
        self._report.log.warning("job moved", reason=reason)

    async def _finish(self, outcome: Outcome) -> JobResult:
        progress = self._counted()
        at, kept = moment(self._clock()), None
        if keeps_thread(progress, outcome):
            kept = await self._kept_thread(progress, outcome, at)
        thread_id = progress.thread_key if kept or progress.features.continues else None
        result = result_of(self._record, progress, outcome, at, thread_id)
        await self._context.events.close()  # followers receive all events before the job ends
        job = self._record.job
        remains = job.summary if result.ok and job.batch else None  # prompts of large batches would fill Redis
        leftovers = leftovers_of(self._context.spec, progress)
        left, sender, timeline = self.left_pool(), self._record.sender, self._report.timeline.text
        with self._context.spans.finishing():
            await self._job_store.finish(self._lease, result, leftovers, kept, remains, left, sender, timeline)
        self._report.log.info("job finished", **end_of(result), leftovers=len(progress.leftovers))
        if (ended_at := self._context.polling.ended_at) is not None:
            self._context.metrics.result_stored(self._context.spec.endpoint, self._clock() - ended_at)
        return result

    async def _kept_thread(self, progress: Progress, outcome: Outcome, at: datetime) -> KeptThread:
        state = await self._context.driver.thread_state(progress, outcome.content)
        state, lost = shortened(state, self._context.limits.transcript_limit_chars)
        if lost is not None:
            named = {"thread_id": progress.thread_key, "messages_dropped": lost.dropped, "images_replaced": lost.images}
            self._report.log.warning("transcript shortened", **named)
        dropped = lost.dropped if lost else 0
        return kept_thread(self._record.id, self._context.spec, progress, state, dropped, at)

    @property
    def failing_endpoint(self) -> FailingEndpoint | None:
        """Set while the server returns no usable replies and the job waits for them."""
        return self._report.failing_endpoint(self._progress)
