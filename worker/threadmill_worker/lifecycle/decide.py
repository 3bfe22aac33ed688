"""Decides what a job does next: `advance` returns the action, `observe` applies its result.

PURE: no I/O, no clock, no openai. The time is a parameter; replies of the server arrive as observations.
What each run status means: platform.openai.com/docs/assistants/deep-dive#run-lifecycle.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

from threadmill.job.result import Failure, FailureKind, JobState
from threadmill.settings.endpoints.run_limits import RunLimits
from threadmill_worker.lifecycle.actions import (
    LANDING_S,
    Action,
    AddMessage,
    CreateStore,
    CreateThread,
    ReadAnswer,
    Resolve,
    Sending,
    StartRun,
    Step,
    SubmitOutputs,
    Unlock,
    Upload,
    Wait,
)
from threadmill_worker.lifecycle.progress import Intent, Outcome, PendingRequest, Progress
from threadmill_worker.lifecycle.replace import replace
from threadmill_worker.lifecycle.steps.answer import next_answer_step
from threadmill_worker.lifecycle.steps.clean_up import next_clean_up
from threadmill_worker.lifecycle.steps.current_run import has_unread_answer, next_run_step
from threadmill_worker.lifecycle.steps.recovery.call_errors import CLEANUP_TRIES
from threadmill_worker.lifecycle.steps.recovery.limits import stop_waiting
from threadmill_worker.lifecycle.steps.setup import is_set_up, next_setup_step

#: How many messages POST /threads accepts; the rest are added one by one.
THREAD_MESSAGES = 32

#: A wait for a limit is long from here on. To save each shorter one would cost a call of Redis for almost each start.
SHOWN_WAIT_S = 2.0

#: The outcome of a cancelled job.
CANCELLED = Outcome(
    JobState.CANCELLED,
    failure=Failure(kind=FailureKind.CANCELLED, message="cancelled while it was running", retryable=True),
)

#: The intent that each action saves before its call.
_INTENTS = {
    Upload: Intent.UPLOAD,
    CreateStore: Intent.CREATE_STORE,
    CreateThread: Intent.CREATE_THREAD,
    AddMessage: Intent.ADD_MESSAGE,
    StartRun: Intent.START_RUN,
    SubmitOutputs: Intent.SUBMIT_OUTPUTS,
}


def advance(progress: Progress, limits: RunLimits, now: float, *, cancelled: bool = False) -> tuple[Progress, Action]:
    """Applies the decisions that need no call, and returns the progress and the next action.

    There is always an action, and the deadline ends every job. `cancelled`: the user cancelled the job.
    """
    while isinstance(step := _next_step(progress, limits, now, cancelled=cancelled), Progress):
        progress = step
    return progress, step


def _next_step(progress: Progress, limits: RunLimits, now: float, *, cancelled: bool) -> Step:
    if progress.outcome is not None:
        return next_clean_up(progress, progress.outcome, limits, now)
    answer_step = next_answer_step(progress, progress.answer, now) if progress.answer is not None else None
    if isinstance(answer_step, Progress):  # a complete answer is paid for: it counts, even after a cancellation
        return answer_step
    if cancelled:
        return stop_waiting(progress, now).without_errors().ended(CANCELLED)
    if now >= progress.deadline_at and not _has_answer(progress):
        progress = stop_waiting(progress, now)
        return progress.without_errors().failed(_overdue(progress, now))
    if now < progress.wait_until:
        late = now >= progress.deadline_at
        return Wait(progress.wait_until if late else min(progress.wait_until, progress.deadline_at))
    if progress.intent is not None:
        return Resolve(progress.intent)
    if progress.locked_by is not None and limits.on_locked_thread == "cancel":
        return Unlock(progress.locked_by)
    if answer_step is not None:
        return answer_step
    if progress.run is not None:
        return next_run_step(progress, progress.run, limits, now)
    return _ask(progress) if is_set_up(progress) else next_setup_step(progress, limits, now)


def _ask(progress: Progress) -> Step:
    if progress.features.messages_in_run and progress.messages_sent < progress.messages:
        thread_id = None if progress.features.keep_thread else ""
        return replace(progress, thread_id=progress.thread_id or thread_id, messages_sent=progress.messages)
    if progress.thread_id is None:
        at_once = progress.features.at_once and progress.messages <= THREAD_MESSAGES and progress.schema_error is None
        return CreateThread(min(progress.messages, THREAD_MESSAGES), progress.runs + 1 if at_once else None)
    if progress.messages_sent < progress.messages:
        return AddMessage(progress.messages_sent)
    return StartRun(progress.runs + 1)


def intend(progress: Progress, action: Action, now: float) -> Progress:
    """Returns the progress to save before the action, so that a call with an unknown outcome is resolved first."""
    if isinstance(action, CreateThread | StartRun | SubmitOutputs) and progress.pending is None:
        progress = replace(progress, pending=PendingRequest(now))
    return replace(progress, intent=_INTENTS.get(type(action), progress.intent))


def is_worth_saving(progress: Progress, saved: Progress | None, action: Action | None, now: float) -> bool:
    """Whether to save the progress before the action: a later attempt needs it, or it shows a long wait for a limit.

    A short wait for a limit is not saved: the start that follows saves the same, unless a worker dies meanwhile. Nor is
    the last poll, before its run's answer is read: a later attempt polls again.
    """
    if isinstance(action, ReadAnswer) and _is_known_to_run(progress, saved):
        return False
    limit = progress.limited
    if limit is None or limit.until <= now or not isinstance(action, Wait):
        return progress != saved
    return limit.until - now >= SHOWN_WAIT_S and (saved is None or progress != saved or limit != saved.limited)


def _is_known_to_run(progress: Progress, saved: Progress | None) -> bool:
    """Whether the saved progress leads to the same run, and nothing of its answer has been read since."""
    if saved is None or saved.run is None or progress.run is None:
        return False
    return saved.intent is None and saved.run.id == progress.run.id and progress.answer is None


def time_limit(progress: Progress, action: Action, limits: RunLimits, now: float) -> float:
    """Seconds that a call of the driver may take, whatever the server does.

    It ends at the job's deadline; a call that creates something has at least LANDING_S. A call that may last as long as
    its run has `run_limit_s`, or `request_timeout_s` if that is more. After the deadline, and once the outcome is
    known, each call has `request_timeout_s`.
    """
    left = progress.deadline_at - now
    if progress.outcome is not None or left <= 0:
        return limits.request_timeout_s
    limit_s = max(left, LANDING_S) if isinstance(action, Sending) else left
    if isinstance(action, StartRun | SubmitOutputs):
        return min(limit_s, max(limits.run_limit_s, limits.request_timeout_s))
    return limit_s


def _has_answer(progress: Progress) -> bool:
    """Whether the run has an answer. The answer is paid for, so the job also tries to read it after the deadline."""
    return progress.answer is not None or (has_unread_answer(progress) and progress.errors.count < CLEANUP_TRIES)


def _overdue(progress: Progress, now: float) -> Failure:
    status = "no run was under way"
    if progress.run is not None:
        status = f"its run was {progress.run.status}, {now - progress.run.started_at:.0f} s after it was started"
    message = "; ".join((f"the deadline passed while {status}", *_reasons(progress)))
    return Failure(kind=FailureKind.OVERDUE, message=message, retryable=True)


def _reasons(progress: Progress) -> Iterator[str]:
    """Yields the reasons why the job has no answer, if they are known."""
    if progress.reruns:
        yield f"it was rerun {progress.reruns} times; last reason: {progress.rerun_reason}"
    if progress.limited is not None and progress.limited_s >= 0.5:
        yield f"it waited {progress.limited_s:.0f} s for limits of the server; last: {progress.limited.reason}"
    errors = progress.errors
    if errors.first_at is not None:
        calls = f"the last {errors.count} calls" if errors.count > 1 else "the last call"
        since = datetime.fromtimestamp(errors.first_at, UTC)
        yield f"{calls} failed, since {since:%Y-%m-%d %H:%M:%S} UTC: {errors.reason}"
