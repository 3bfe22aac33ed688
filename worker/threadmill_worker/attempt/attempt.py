"""Executes one job: repeats the action that the lifecycle decides on, and saves the progress before each."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import structlog

from threadmill.job.events import EventKind
from threadmill.job.result import JobResult
from threadmill.store.records import JobRecord
from threadmill.store.worker_records import FailingEndpoint
from threadmill_worker.attempt.context import AttemptContext
from threadmill_worker.attempt.ending import end_of, kept_thread, moment, result_of
from threadmill_worker.attempt.shared_objects import SharedObjects
from threadmill_worker.drivers.driver import within
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
from threadmill_worker.lifecycle.clean_up import keeps_thread
from threadmill_worker.lifecycle.decide import advance, intend, time_limit
from threadmill_worker.lifecycle.observations import (
    Observation,
    OutputReady,
    RunChanged,
    ToolCall,
)
from threadmill_worker.lifecycle.observe import observe
from threadmill_worker.lifecycle.progress import Outcome, Progress
from threadmill_worker.lifecycle.state import phase_of
from threadmill_worker.store.jobs import JobStore, Lease

log = structlog.get_logger(__name__)

#: Waits are longer by up to this share, so that jobs enqueued together do not poll together.
JITTER = 0.1


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
        self._progress = Progress.of(record) or Progress.begin(record, context.spec.features)
        self._saved = self._progress if record.progress else None
        if record.job.stream:  # polls were rare because of an event stream, which ended with the earlier worker
            self._progress = replace(self._progress, poll_at=0.0)
        self._calls_before = max(self._progress.calls, record.calls)
        self._cancel_requested = record.cancel_requested
        self._interruptions = 0
        self._sending = False  #: a call that creates something is in flight
        self._is_leaving = False
        self._task: asyncio.Task[JobResult | None] | None = None
        self._log = log.bind(job_id=record.id, attempt=record.attempts, endpoint=context.spec.endpoint)

    async def execute(self) -> JobResult | None:
        """Runs the job to its end. None: it needs another run, which the batch lane starts.

        Raises LeaseLost. After CancelledError, another attempt can continue from the saved progress.
        """
        self._task = asyncio.current_task()
        async with AsyncExitStack() as closing:
            closing.push_async_callback(self._context.events.close)
            closing.push_async_callback(self._context.driver.close)
            return await self._execute()

    async def _execute(self) -> JobResult | None:
        while True:
            if self._is_leaving:
                await self._save()
                raise asyncio.CancelledError
            action = self._advance()
            if isinstance(action, Finish):
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
        self._cancel_requested = True
        completes_soon = (
            self._sending and not self._context.driver.awaits_run
        )  # otherwise it may last as long as the run
        if self._task is not None and self._progress.outcome is None and not completes_soon:
            self._interruptions += 1
            self._task.cancel()

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
        self._report(before)
        return action

    async def _carry_out(self, action: Action) -> None:
        self._progress = intend(self._progress, action, self._clock())
        await self._save()
        match action:
            case Wait(until):
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
        limit_s = time_limit(self._progress, action, self._context.limits, self._clock())
        return await within(limit_s, self._context.driver.do(action, self._progress))

    async def _create(self, action: Making) -> Observation:
        """Creates an object, unless the job's batch already has an equal one."""
        return await self._shared.create(action, self._progress, lambda: self._do(action), self._is_ending)

    def _is_ending(self) -> bool:
        return self._cancel_requested or self._clock() >= self._progress.deadline_at

    async def _wait(self, action: Wait, until: float) -> None:
        wait_s = max(0.0, until - self._clock())
        longest_s = max(wait_s, self._progress.deadline_at - self._clock())
        timer = asyncio.ensure_future(self._sleep(min(wait_s * (1 + random.random() * JITTER), longest_s)))
        run_changed = asyncio.ensure_future(self._context.driver.run_changed())
        try:
            await asyncio.wait((timer, run_changed), return_when=asyncio.FIRST_COMPLETED)
            if run_changed.done():
                self._observe(action, RunChanged())
        finally:
            timer.cancel()
            run_changed.cancel()

    async def _call_tools(self, action: CallTools, calls: tuple[ToolCall, ...], until: float) -> None:
        """Executes the calls concurrently and saves each output as it arrives, so that no finished call is repeated."""
        thread, emit = self._progress.thread_id or "", self._context.events.emit

        async def call_one(call: ToolCall) -> OutputReady:
            emit(EventKind.TOOL_CALL, call_id=call.id, name=call.name, arguments=call.arguments)
            seen = await self._context.executor.call(call, thread, self._context.spec.assistant, until - self._clock())
            emit(EventKind.TOOL_OUTPUT, call_id=call.id, name=call.name, output=seen.output)
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
        before = self._progress
        self._progress = observe(before, action, seen, self._context.limits, self._clock())
        if self._progress.errors.count > before.errors.count:
            self._log.warning(
                "call failed",
                action=type(action).__name__,
                reason=getattr(seen, "reason", None) or repr(seen),
                in_a_row=self._progress.errors.count,
                **self._ids,
            )
        self._report(before)

    async def _save(self) -> None:
        if self._progress != self._saved:
            self._progress = self._counted()
            await self._job_store.save(self._lease, self._progress)
            self._saved = self._progress

    @property
    def calls(self) -> int:
        """HTTP calls made for the job so far, by earlier attempts too."""
        return self._calls_before + self._context.driver.calls

    def _counted(self) -> Progress:
        return replace(self._progress, calls=self.calls)

    async def _finish(self, outcome: Outcome) -> JobResult:
        progress = self._counted()
        at, kept = moment(self._clock()), None
        if keeps_thread(progress, outcome):
            state = await self._context.driver.thread_state(progress, outcome.content)
            kept = kept_thread(self._record.id, self._context.spec, progress, state, at)
        thread_id = progress.thread_key if kept or progress.features.continues else None
        result = result_of(self._record, progress, outcome, at, thread_id)
        await self._context.events.close()  # followers receive all events before the job ends
        job = self._record.job
        remains = job.summary if result.ok and job.batch else None  # prompts of large batches would fill Redis
        await self._job_store.finish(
            self._lease, result, progress.leftovers, self._context.spec.endpoint, kept, remains
        )
        self._log.info("job finished", **end_of(result), leftovers=len(progress.leftovers))
        return result

    @property
    def failing_endpoint(self) -> FailingEndpoint | None:
        """Set while the server returns no usable replies and the job waits for them."""
        progress, errors = self._progress, self._progress.errors
        if errors.first_at is None or progress.outcome is not None:
            return None
        until = None
        if errors.since is not None:
            until = moment(min(errors.since + self._context.limits.unreachable_limit_s, progress.deadline_at))
        return FailingEndpoint(
            endpoint=self._context.spec.endpoint,
            reason=errors.reason or "",
            since=moment(errors.first_at),
            until=until,
            calls=errors.count,
        )

    @property
    def _ids(self) -> dict[str, Any]:
        progress = self._progress
        return {"thread_id": progress.thread_id, "run_id": progress.run and progress.run.id}

    def _report(self, before: Progress) -> None:
        """Logs each change of the phase and of the run, and publishes changes of the run."""
        after = self._progress
        if (phase := phase_of(after)) is not phase_of(before):
            self._log.debug("phase", phase=phase.value, **self._ids)
        if after.run and (before.run is None or before.run.status != after.run.status):
            self._log.info("run status", status=after.run.status, **self._ids)
            self._context.events.emit(EventKind.RUN, run_id=after.run.id, run=after.runs, status=after.run.status)
        if after.without_context != before.without_context:
            reason = "its reply does not name the response that the request continues from"
            self._log.warning("response without its context", reason=reason, run_id=after.without_context[-1])
        if after.reruns > before.reruns:
            self._log.warning("rerun", reruns=after.reruns, reason=after.rerun_reason, thread_id=after.thread_id)
