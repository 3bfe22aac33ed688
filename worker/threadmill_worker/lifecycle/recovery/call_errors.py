"""What a failed call means for its job. PURE."""

from dataclasses import replace
from typing import assert_never

from threadmill.job.result import Failure, FailureKind
from threadmill.settings.run_limits import RunLimits
from threadmill_worker.lifecycle.actions import Action, Delete, PollRun, Resolve, Unlock
from threadmill_worker.lifecycle.answer import Completing, answer_without
from threadmill_worker.lifecycle.observations import CallError, Gone, LaneClosed, NotSent, Rejected, Unknown, Unusable
from threadmill_worker.lifecycle.progress import Intent, Progress
from threadmill_worker.lifecycle.recovery.discounts import CAPACITY_LONGEST_S, closed
from threadmill_worker.lifecycle.recovery.reruns import REASON_CHARACTERS, rerun

#: The wait after a failed call: doubles from the first to the longest, unless the server sends a delay.
BACKOFF_FIRST_S = 0.5
BACKOFF_LONGEST_S = 30.0

#: The longest wait once the outcome is known, whatever delay the server sends.
CLEANUP_WAIT_S = 5.0

#: Failed calls in a row after which the job stops trying, once its outcome is known or its deadline has passed.
CLEANUP_TRIES = 3

#: A run counts as gone after this many polls in a row that did not find it. LiteLLM answers 404 for an existing run
#: when the Redis in which it keeps runs does not reply in time.
GONE_POLLS = 3


def call_failed(progress: Progress, action: Action, trouble: CallError, limits: RunLimits, now: float) -> Progress:
    """Returns the progress after a call without a usable reply."""
    since = progress.trouble_since if progress.trouble_since is not None else now
    troubles = progress.troubles + 1
    longest_s = CAPACITY_LONGEST_S if isinstance(trouble, LaneClosed) else BACKOFF_LONGEST_S
    wait_s = min(longest_s, BACKOFF_FIRST_S * 2 ** (troubles - 1))
    if isinstance(trouble, NotSent | LaneClosed):
        wait_s = trouble.retry_after_s or wait_s
    if progress.outcome is not None:  # the answer does not wait for the clean-up: the sweep deletes what is left
        wait_s = min(wait_s, CLEANUP_WAIT_S)
    in_doubt = progress.pending is not None and progress.pending.in_doubt
    if isinstance(trouble, NotSent | LaneClosed | Rejected) and not isinstance(action, Resolve) and not in_doubt:
        progress = replace(progress, intent=None, pending=None)  # it did not take effect
    reason = trouble.reason[:REASON_CHARACTERS]
    first_at = now if progress.troubled_at is None else progress.troubled_at
    progress = replace(
        progress, troubles=troubles, troubled_at=first_at, trouble_since=since, trouble=reason, wait_until=now + wait_s
    )
    if isinstance(action, Delete):
        tried = (
            replace(leftover, tries=leftover.tries + 1) if action == Delete(leftover) else leftover
            for leftover in progress.leftovers
        )
        return replace(progress, leftovers=tuple(tried))
    if isinstance(action, Unlock):
        return replace(progress, locked_by=None)
    if progress.outcome is not None and troubles >= CLEANUP_TRIES:  # no further attempt will resolve it
        progress = give_up_intent(progress)
    match trouble:
        case Rejected() | Unusable() | Gone() if isinstance(action, Completing):
            return answer_without(progress, action, trouble.reason)
        case Gone() if isinstance(action, PollRun) and progress.outcome is None and troubles < GONE_POLLS:
            return progress
        case Gone(reason) if progress.features.continues:
            failure = Failure(kind=FailureKind.REJECTED, message=f"the thread cannot be gone on with: {reason}")
            return rerun(replace(progress, run=None), failure, limits, now, new_thread=True)
        case Gone(reason):
            failure = Failure(kind=FailureKind.SERVER_ERROR, message=reason, retryable=True)
            return rerun(replace(progress, run=None), failure, limits, now, new_thread=True)
        case _ if progress.outcome is not None:
            return progress
        case LaneClosed():
            return closed(progress, trouble, limits, now)
        case Rejected(failure):
            return progress.failed(failure)
        case Unusable(reason):  # the intent stays, so the object that the call may have created is found and deleted
            failure = Failure(kind=FailureKind.SERVER_ERROR, message=reason)
            return progress.failed(failure)
        case NotSent(reason) | Unknown(reason) if isinstance(action, Completing):
            tired = now >= progress.deadline_at and troubles >= CLEANUP_TRIES
            return (
                answer_without(progress, action, reason)
                if tired or now - since >= limits.unreachable_limit_s
                else progress
            )
        case NotSent(reason, kind) | Unknown(reason, kind) if now - since >= limits.unreachable_limit_s:
            message = f"no usable reply for {now - since:.0f} s; last: {reason}"
            failure = Failure(kind=kind, message=message, retryable=True)
            return give_up_intent(progress).failed(failure)
        case Unknown(locked_by=run_id):
            return replace(progress, locked_by=run_id or progress.locked_by)
        case NotSent():
            return progress
        case _:
            assert_never(trouble)


def give_up_intent(progress: Progress) -> Progress:
    """Counts the object that a call with an unknown outcome may have created as lost: its id is unknown."""
    return replace(
        progress,
        intent=None,
        lost_threads=progress.lost_threads + (progress.intent is Intent.CREATE_THREAD),
        lost_files=progress.lost_files + (progress.intent in (Intent.UPLOAD, Intent.CREATE_STORE)),
        lost_runs=progress.lost_runs + (progress.intent in (Intent.START_RUN, Intent.SUBMIT_OUTPUTS)),
    )
