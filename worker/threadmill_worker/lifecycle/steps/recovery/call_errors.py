"""Decides what a failed call means for its job. PURE."""

from typing import assert_never

from threadmill.job.progress import CallErrors
from threadmill.job.result import Failure, FailureKind
from threadmill.settings.endpoints.run_limits import RunLimits
from threadmill_worker.lifecycle.actions import Action, Delete, PollRun, Resolve, Unlock, is_counted
from threadmill_worker.lifecycle.observations import CallError, Gone, LaneClosed, NotSent, Rejected, Unknown, Unusable
from threadmill_worker.lifecycle.progress import REASON_CHARACTERS, Progress
from threadmill_worker.lifecycle.replace import replace
from threadmill_worker.lifecycle.steps.answer import Completing, answer_without
from threadmill_worker.lifecycle.steps.recovery.discounts import CAPACITY_LONGEST_S, closed
from threadmill_worker.lifecycle.steps.recovery.limits import wait_for_limit
from threadmill_worker.lifecycle.steps.recovery.reruns import rerun

#: The wait after a failed call: it doubles from the first to the longest, unless the server sends a delay.
BACKOFF_FIRST_S = 0.5
BACKOFF_LONGEST_S = 30.0

#: The longest wait after a refused call that the job's pool limits: the pool knows when the job may ask again.
REFUSED_LONGEST_S = 5.0

#: The longest wait once the outcome is known, whatever delay the server sends.
CLEANUP_WAIT_S = 5.0

#: Failed calls in a row after which the job stops trying, once its outcome is known or its deadline has passed.
CLEANUP_TRIES = 3

#: A run counts as gone after this many polls in a row that did not find it. LiteLLM answers 404 for an existing run
#: when the Redis in which it keeps runs does not reply in time.
GONE_POLLS = 3


def call_failed(progress: Progress, action: Action, error: CallError, limits: RunLimits, now: float) -> Progress:
    """Returns the progress after a call without a usable reply."""
    progress = _count(progress, action, error, now)
    if _had_no_effect(progress, action, error):
        progress = replace(progress, intent=None, pending=None)
    if isinstance(action, Delete):
        return _deletion_failed(progress, action)
    if isinstance(action, Unlock):
        return replace(progress, locked_by=None)
    if progress.outcome is not None and progress.errors.count >= CLEANUP_TRIES:
        progress = give_up_intent(progress)  # no further attempt will resolve it
    if isinstance(action, Completing):
        return _answer_part_failed(progress, action, error, limits, now)
    if isinstance(error, Gone):
        return _gone(progress, action, error, limits, now)
    if progress.outcome is not None:
        return progress
    return _job_call_failed(progress, error, limits, now)


def give_up_intent(progress: Progress) -> Progress:
    """Counts the object that a call with an unknown outcome may have created as lost: its id is unknown."""
    return replace(progress, intent=None, lost=progress.lost.after(progress.intent))


def _count(progress: Progress, action: Action, error: CallError, now: float) -> Progress:
    """Counts the error and sets the wait before the next call."""
    errors = progress.errors
    refused = isinstance(error, NotSent | Unknown) and error.is_refusal
    waited_for = isinstance(error, NotSent | Unknown) and error.is_waited_for
    errors = CallErrors(
        count=errors.count + 1,
        reason=error.reason[:REASON_CHARACTERS],
        first_at=now if errors.first_at is None else errors.first_at,
        since=None if waited_for else now if errors.since is None else errors.since,
    )
    limited = refused and is_counted(action)
    wait_s = _backoff_s(error, errors.count, limited=limited)
    if progress.outcome is not None:  # the result must not wait long for the clean-up: the sweep deletes the rest
        wait_s = min(wait_s, CLEANUP_WAIT_S)
    progress = replace(progress, errors=errors, wait_until=now + wait_s)
    return wait_for_limit(progress, error.reason, progress.wait_until, now) if limited else progress


def _backoff_s(error: CallError, count: int, *, limited: bool) -> float:
    longest_s = REFUSED_LONGEST_S if limited else BACKOFF_LONGEST_S
    asked_s = None
    if isinstance(error, NotSent | LaneClosed | Unknown):
        asked_s = error.retry_after_s
    if isinstance(error, LaneClosed):
        longest_s = CAPACITY_LONGEST_S
    return asked_s or min(longest_s, BACKOFF_FIRST_S * 2 ** (count - 1))


def _had_no_effect(progress: Progress, action: Action, error: CallError) -> bool:
    in_doubt = progress.pending is not None and progress.pending.in_doubt
    return isinstance(error, NotSent | LaneClosed | Rejected) and not isinstance(action, Resolve) and not in_doubt


def _deletion_failed(progress: Progress, action: Delete) -> Progress:
    leftovers = (
        replace(each, tries=each.tries + 1) if each == action.leftover else each for each in progress.leftovers
    )
    return replace(progress, leftovers=tuple(leftovers))


def _answer_part_failed(
    progress: Progress, action: Completing, error: CallError, limits: RunLimits, now: float
) -> Progress:
    """Tries again to read a name, a file or the steps while there is time, then leaves that part out."""
    if isinstance(error, NotSent | Unknown | LaneClosed):
        is_late = now >= progress.deadline_at and progress.errors.count >= CLEANUP_TRIES
        if not is_late and not _is_unreachable(progress, limits, now):
            return progress
    return answer_without(progress, action, error.reason)


def _gone(progress: Progress, action: Action, error: Gone, limits: RunLimits, now: float) -> Progress:
    """The run or its thread no longer exists: runs the job again on another thread, if possible."""
    if isinstance(action, PollRun) and progress.outcome is None and progress.errors.count < GONE_POLLS:
        return progress
    if progress.features.continues:
        message = f"the thread can no longer be continued: {error.reason}"
        failure = Failure(kind=FailureKind.REJECTED, message=message)
    else:
        failure = Failure(kind=FailureKind.SERVER_ERROR, message=error.reason, retryable=True)
    return rerun(replace(progress, run=None), failure, limits, now, new_thread=True)


def _job_call_failed(
    progress: Progress, error: Rejected | NotSent | LaneClosed | Unknown | Unusable, limits: RunLimits, now: float
) -> Progress:
    match error:
        case LaneClosed():
            return closed(progress, error, limits, now)
        case Rejected(failure):
            return progress.failed(failure)
        case Unusable(reason):  # the intent stays, so the object that the call may have created is found and deleted
            return progress.failed(Failure(kind=FailureKind.SERVER_ERROR, message=reason))
        case NotSent(reason, kind) | Unknown(reason, kind) if _is_unreachable(progress, limits, now):
            message = f"no usable reply for {now - (progress.errors.since or now):.0f} s; last: {reason}"
            return give_up_intent(progress).failed(Failure(kind=kind, message=message, retryable=True))
        case Unknown(locked_by=run_id):
            return replace(progress, locked_by=run_id or progress.locked_by)
        case NotSent():
            return progress
        case _:
            assert_never(error)


def _is_unreachable(progress: Progress, limits: RunLimits, now: float) -> bool:
    since = progress.errors.since
    return since is not None and now - since >= limits.unreachable_limit_s
