"""Decides what a job does next: `next_action` returns the action, `observe` applies its result.

PURE: no I/O, no clock, no openai. The time is a parameter; replies of the server arrive as observations.
What each run status means: platform.openai.com/docs/assistants/deep-dive#run-lifecycle.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

from threadmill.job.result import Failure, FailureKind, JobState
from threadmill.settings.run_limits import RunLimits
from threadmill_worker.lifecycle.actions import (
    LANDING_S,
    AbandonRun,
    Action,
    AddMessage,
    CallTools,
    CancelRun,
    CreateStore,
    CreateThread,
    Decide,
    Delete,
    Finish,
    PollRun,
    ReadAnswer,
    Resolve,
    Sending,
    StartRun,
    SubmitOutputs,
    Unlock,
    Upload,
    Wait,
)
from threadmill_worker.lifecycle.answer import next_answer_step
from threadmill_worker.lifecycle.observations import ANSWERED, ENDED, RunObservation
from threadmill_worker.lifecycle.progress import Intent, Outcome, PendingRequest, Progress
from threadmill_worker.lifecycle.recovery.call_errors import CLEANUP_TRIES
from threadmill_worker.lifecycle.setup import next_setup

#: Messages that POST /threads takes; the rest are added one by one.
THREAD_MESSAGES = 32

#: Outputs that reach the server this close to the run's end may come too late.
SUBMIT_MARGIN_S = 5.0


def next_action(progress: Progress, limits: RunLimits, now: float) -> Action:
    """Returns the next action. There always is one, and the deadline ends every job."""
    if progress.outcome is not None:
        return _clean_up(progress, progress.outcome, limits, now)
    if now >= progress.deadline_at and not _has_answer(progress):
        return Decide(_overdue(progress, now))
    if now < progress.wait_until:
        late = now >= progress.deadline_at
        return Wait(progress.wait_until if late else min(progress.wait_until, progress.deadline_at))
    if progress.intent is not None:
        return Resolve(progress.intent)
    if progress.locked_by is not None and limits.on_locked_thread == "cancel":
        return Unlock(progress.locked_by)
    if progress.answer is not None:
        return next_answer_step(progress, progress.answer, now)
    return next_setup(progress, limits, now) or _next_call(progress, limits, now)


def _next_call(progress: Progress, limits: RunLimits, now: float) -> Action:
    if progress.thread_id is None:
        at_once = progress.features.at_once and progress.messages <= THREAD_MESSAGES and progress.schema_error is None
        return CreateThread(min(progress.messages, THREAD_MESSAGES), progress.runs + 1 if at_once else None)
    if progress.messages_sent < progress.messages:
        return AddMessage(progress.messages_sent)
    if progress.run is None:
        return StartRun(progress.runs + 1)
    return _next_call_of_run(progress, limits, now)


def intend(progress: Progress, action: Action, now: float) -> Progress:
    """Returns the progress to save before the action, so that a call with an unknown outcome is resolved first."""
    if isinstance(action, CreateThread | StartRun | SubmitOutputs) and progress.pending is None:
        progress = replace(progress, pending=PendingRequest(now))
    match action:
        case Upload():
            return replace(progress, intent=Intent.UPLOAD)
        case CreateStore():
            return replace(progress, intent=Intent.CREATE_STORE)
        case CreateThread():
            return replace(progress, intent=Intent.CREATE_THREAD)
        case AddMessage():
            return replace(progress, intent=Intent.ADD_MESSAGE)
        case StartRun():
            return replace(progress, intent=Intent.START_RUN)
        case SubmitOutputs():
            return replace(progress, intent=Intent.SUBMIT_OUTPUTS)
        case _:
            return progress


def time_limit(progress: Progress, action: Action, limits: RunLimits, now: float) -> float:
    """Seconds that a call of the driver may take, whatever the server does.

    It ends at the job's deadline; a call that creates something has at least LANDING_S. After the deadline, and once
    the outcome is known, each call has `request_timeout_s`.
    """
    left = progress.deadline_at - now
    if progress.outcome is not None or left <= 0:
        return limits.request_timeout_s
    return max(left, LANDING_S) if isinstance(action, Sending) else left


def _next_call_of_run(progress: Progress, limits: RunLimits, now: float) -> Action:
    run = progress.run
    assert run is not None
    if run.status in ENDED:  # with an answer: other statuses were handled when they were observed
        return ReadAnswer(run.id)
    # A run is queued again after its tool outputs.
    queued = run.status == "queued"
    since = progress.active_since if queued else progress.run_since
    limit = limits.queued_limit_s if queued else limits.run_limit_s
    age = now - since
    if progress.cancel_requested_at is not None or age >= limit:
        return _stop_run(progress, limits, now) or AbandonRun(_stuck(run.status, age))
    if run.calls and progress.rounds >= limits.max_tool_rounds:
        return Decide(_too_many_rounds(progress.rounds))
    if run.calls:
        todo = tuple(call for call in run.calls if call.id not in progress.outputs)
        if todo:
            return CallTools(todo, min(_expiry(progress, run, limits) - SUBMIT_MARGIN_S, progress.deadline_at))
        return SubmitOutputs(run.id, {call.id: progress.outputs[call.id] for call in run.calls})
    return _poll_or_wait(progress, run.id, since + limit, now)


def _expiry(progress: Progress, run: RunObservation, limits: RunLimits) -> float:
    """When the run expires, by the local clock. The server's clock may be off: only its durations are used."""
    if run.expires_at is None:
        return progress.run_since + limits.run_limit_s
    if run.created_at is None or run.created_at >= run.expires_at:
        return run.expires_at
    return progress.run_since + run.expires_at - run.created_at


def _poll_or_wait(progress: Progress, run_id: str, latest: float, now: float) -> Action:
    if progress.outcome is None:
        latest = min(latest, progress.deadline_at)
    return PollRun(run_id) if now >= progress.poll_at else Wait(min(progress.poll_at, latest))


def _stop_run(progress: Progress, limits: RunLimits, now: float) -> Action | None:
    """Cancels the current run and waits for it to stop. None: it has stopped, or cannot be stopped."""
    run = progress.run
    if run is None or run.status in ENDED or progress.cancel_refused or not limits.cancels:
        return None
    if progress.cancel_requested_at is None:
        return CancelRun(run.id)
    give_up_at = progress.cancel_requested_at + limits.cancel_limit_s
    return None if now >= give_up_at else _poll_or_wait(progress, run.id, give_up_at, now)


def _clean_up(progress: Progress, outcome: Outcome, limits: RunLimits, now: float) -> Action:
    """Cancels the run, deletes the leftovers, then finishes."""
    if progress.troubles < CLEANUP_TRIES:
        if now < progress.wait_until:
            return Wait(progress.wait_until)
        if progress.intent is not None:
            return Resolve(progress.intent)
        stop = _stop_run(progress, limits, now)
        if stop is not None:
            return stop
        if progress.run is not None and _is_unread(progress) and not progress.troubles:
            return ReadAnswer(progress.run.id)  # it names files of the model, which are deleted too
    if keeps_thread(progress, outcome):
        return Finish(outcome)
    for leftover in progress.leftovers:
        if leftover.tries < CLEANUP_TRIES:
            return Wait(progress.wait_until) if now < progress.wait_until else Delete(leftover)
    return Finish(outcome)


def _has_answer(progress: Progress) -> bool:
    """Whether the run has an answer. It is paid for, so reading it is tried past the deadline."""
    return progress.answer is not None or (_is_unread(progress) and progress.troubles < CLEANUP_TRIES)


def keeps_thread(progress: Progress, outcome: Outcome) -> bool:
    """Whether the thread and its files are kept. The thread of a failed job is not."""
    wanted = progress.features.keep_thread or progress.features.continues
    incomplete = outcome.failure is not None and outcome.failure.kind is FailureKind.INCOMPLETE
    return wanted and (outcome.state is JobState.SUCCEEDED or incomplete)


def _is_unread(progress: Progress) -> bool:
    return progress.answer is None and progress.run is not None and progress.run.status in ANSWERED


def _overdue(progress: Progress, now: float) -> Outcome:
    status = "no run was under way"
    if progress.run is not None:
        status = f"its run was {progress.run.status}, {now - progress.run_since:.0f} s after it was started"
    message = "; ".join((f"the deadline passed while {status}", *_reasons(progress)))
    return Outcome(JobState.FAILED, failure=Failure(kind=FailureKind.OVERDUE, message=message, retryable=True))


def _reasons(progress: Progress) -> Iterator[str]:
    """Why the job has no answer, as far as the server has said."""
    if progress.reruns:
        yield f"it was started over {progress.reruns} times, the last time because: {progress.rerun_reason}"
    if progress.troubles and progress.troubled_at is not None:
        calls = f"the last {progress.troubles} calls" if progress.troubles > 1 else "the last call"
        since = datetime.fromtimestamp(progress.troubled_at, UTC)
        yield f"{calls} failed, since {since:%Y-%m-%d %H:%M:%S} UTC: {progress.trouble}"


def _too_many_rounds(rounds: int) -> Outcome:
    message = f"after {rounds} rounds of tools the run asks for more; raise max_tool_rounds if that is meant"
    return Outcome(JobState.FAILED, failure=Failure(kind=FailureKind.TOOL_FAILED, message=message))


def _stuck(status: str, age: float) -> Failure:
    return Failure(kind=FailureKind.STUCK, message=f"the run was still {status} after {age:.0f} s", retryable=True)
