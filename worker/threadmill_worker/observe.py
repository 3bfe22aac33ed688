"""How what came of an action changes the saved place of a job. PURE: the other half of lifecycle.py."""

from dataclasses import replace
from typing import assert_never

from threadmill.policy import Policy
from threadmill.result import Failure, FailureKind, JobState, Usage
from threadmill_worker.actions import (
    AbandonRun,
    Action,
    CancelRun,
    CreateThread,
    Decide,
    Delete,
    Settle,
    SubmitOutputs,
)
from threadmill_worker.endings import answer_of, reason_of
from threadmill_worker.progress import FinishedCall, Intent, Leftover, Outcome, Progress
from threadmill_worker.views import (
    ENDED,
    AnswerRead,
    Deleted,
    Gone,
    InDoubt,
    MessageAdded,
    NotDone,
    NothingFound,
    OutputReady,
    Refused,
    RunView,
    ThreadCreated,
    ToolCall,
    Trouble,
    View,
)

#: A look falls due when the run is older by this share: a result is late by about a quarter of its run's time.
LOOK_SHARE = 0.25

#: What a server may wish for the time to the next look, in seconds.
HINT_RANGE_S = (0.25, 10.0)

#: After a call without a usable reply: doubles from the first to the longest, unless the server says.
BACKOFF_FIRST_S = 0.5
BACKOFF_LONGEST_S = 30.0

#: The same once the outcome is known, whatever the server says.
TIDY_WAIT_S = 5.0


def observe(progress: Progress, action: Action, view: View, policy: Policy, now: float) -> Progress:
    """The progress after `action` showed `view`."""
    if isinstance(view, Refused | NotDone | InDoubt | Gone):
        return _bear(progress, action, view, policy, now)
    if not isinstance(view, NothingFound):  # which follows a lost reply and is no sign of better times
        progress = replace(progress, troubles=0, trouble_since=None, wait_until=0.0)
    match view:
        case ThreadCreated(thread_id):
            return replace(
                progress,
                intent=None,
                thread_id=thread_id,
                messages_sent=action.messages if isinstance(action, CreateThread) else 0,
                leftovers=(*progress.leftovers, Leftover("thread", thread_id)),
            )
        case MessageAdded():
            return replace(progress, intent=None, messages_sent=progress.messages_sent + 1)
        case RunView():
            return _see(progress, action, view, policy, now)
        case OutputReady():
            return _journal(progress, view)
        case AnswerRead(blocks):
            return replace(progress, outcome=answer_of(progress.run, blocks))
        case Deleted():
            kept = (leftover for leftover in progress.leftovers if action != Delete(leftover))
            # What ran there was stopped before, or will not be: see lifecycle._wind_up.
            return replace(progress, run=None, intent=None, leftovers=tuple(kept))
        case NothingFound():
            lost = progress.intent is Intent.CREATE_THREAD
            return replace(progress, intent=None, lost_threads=progress.lost_threads + lost)
        case _:
            assert_never(view)


def conclude(progress: Progress, action: Decide | AbandonRun, policy: Policy, now: float) -> Progress:
    """The progress after a decision that needs no call."""
    match action:
        case Decide(outcome):
            return replace(progress, outcome=outcome, troubles=0, trouble_since=None, wait_until=0.0)
        case AbandonRun(failure):
            return _rerun(progress, failure, policy, now, new_thread=True)


def _see(progress: Progress, action: Action, run: RunView, policy: Policy, now: float) -> Progress:
    """A run was started, looked at, given its tools' outputs, or told to stop."""
    before = progress.run
    if before is None or before.id != run.id:
        progress = replace(
            progress, runs=progress.runs + 1, run_since=now, active_since=now, rounds=0, outputs={},
            cancel_asked_at=None, cancel_refused=False,
        )  # fmt: skip
    elif isinstance(action, SubmitOutputs) or action == Settle(Intent.SUBMIT_OUTPUTS):
        progress = replace(progress, rounds=progress.rounds + 1, active_since=now)
        if run.calls and run.calls == before.calls:  # not taken in: submit them again, but not at once
            progress = replace(progress, wait_until=now + policy.poll_first_s)
    if isinstance(action, CancelRun):
        refused = run.status not in ENDED and run.status != "cancelling"
        progress = replace(progress, cancel_asked_at=now, cancel_refused=refused)
    if run.status in ENDED and (before is None or before.status not in ENDED):
        progress = replace(progress, usage=progress.usage + (run.usage or Usage()))
    progress = replace(progress, outputs=_recall(progress, run.calls) | progress.outputs)
    news_at = max(progress.active_since, progress.cancel_asked_at or 0.0)
    progress = replace(progress, intent=None, run=run, look_at=now + _interval(run, now - news_at, policy))
    return progress if progress.outcome else _judge(progress, run, policy, now)


def _journal(progress: Progress, done: OutputReady) -> Progress:
    """Keeps an output for its call, and for the same call of a later run."""
    progress = replace(progress, outputs={**progress.outputs, done.call_id: done.output})
    if not done.reusable or progress.run is None:
        return progress
    kept = FinishedCall(done.output, progress.runs)
    new = {call.signature: kept for call in progress.run.calls if call.id == done.call_id}
    return replace(progress, finished=progress.finished | new)


def _recall(progress: Progress, calls: tuple[ToolCall, ...]) -> dict[str, str]:
    """Outputs an earlier run of the job has paid for, by the ids under which this one asks for them.

    A call that the same run repeats is made again: the model wants to know anew.
    """
    found = {call.id: progress.finished.get(call.signature) for call in calls}
    return {call_id: call.output for call_id, call in found.items() if call is not None and call.run < progress.runs}


def _judge(progress: Progress, run: RunView, policy: Policy, now: float) -> Progress:
    """What a status means for the job; the open ones and those with an answer mean nothing yet."""
    match run.status:
        case "failed":
            failure, delay_s = reason_of(run)
            if not failure.retryable:
                return replace(progress, outcome=Outcome(JobState.FAILED, failure=failure))
            return _rerun(progress, failure, policy, now, delay_s=delay_s)
        case "expired":
            message = "the server gave the run up before it ended"
            failure = Failure(kind=FailureKind.EXPIRED, message=message, retryable=True)
            return _rerun(progress, failure, policy, now)
        case "cancelled" if progress.cancel_asked_at is not None:
            message = "the run did not end within its limits and was cancelled"
            failure = Failure(kind=FailureKind.STUCK, message=message, retryable=True)
            return _rerun(progress, failure, policy, now, new_thread=True)
        case "cancelled":
            message = "the run was cancelled, not by us"
            failure = Failure(kind=FailureKind.CANCELLED_REMOTELY, message=message, retryable=True)
            return replace(progress, outcome=Outcome(JobState.FAILED, failure=failure))
        case _:
            return progress


def _rerun(
    progress: Progress, failure: Failure, policy: Policy, now: float, *,
    delay_s: float | None = None, new_thread: bool = False,
) -> Progress:  # fmt: skip
    """Another run, if any are left; on a new thread where the old one may stay locked."""
    if progress.outcome is not None:
        return replace(progress, run=None, intent=None)
    if progress.reruns >= policy.reruns:
        return replace(progress, intent=None, outcome=Outcome(JobState.FAILED, failure=failure))
    if delay_s is None:
        delay_s = policy.rerun_delay_s * 2**progress.reruns
    if new_thread:
        progress = replace(progress, thread_id=None, messages_sent=0)
    return replace(progress, run=None, intent=None, reruns=progress.reruns + 1, wait_until=now + delay_s)


def _bear(progress: Progress, action: Action, trouble: Trouble, policy: Policy, now: float) -> Progress:
    """A call gave no usable reply."""
    since = progress.trouble_since if progress.trouble_since is not None else now
    troubles = progress.troubles + 1
    wait_s = min(BACKOFF_LONGEST_S, BACKOFF_FIRST_S * 2 ** (troubles - 1))
    if isinstance(trouble, NotDone):
        wait_s = trouble.retry_after_s or wait_s
    if progress.outcome is not None:  # the answer is not held back for tidying: what stays, the sweep deletes
        wait_s = min(wait_s, TIDY_WAIT_S)
    if isinstance(trouble, NotDone | Refused) and not isinstance(action, Settle):
        progress = replace(progress, intent=None)  # it did not land
    progress = replace(progress, troubles=troubles, trouble_since=since, wait_until=now + wait_s)
    if isinstance(action, Delete):
        tried = (
            replace(leftover, tries=leftover.tries + 1) if action == Delete(leftover) else leftover
            for leftover in progress.leftovers
        )
        return replace(progress, leftovers=tuple(tried))
    match trouble:
        case Gone(reason):
            failure = Failure(kind=FailureKind.SERVER_ERROR, message=reason, retryable=True)
            return _rerun(replace(progress, run=None), failure, policy, now, new_thread=True)
        case _ if progress.outcome is not None:
            return progress
        case Refused(failure):
            return replace(progress, outcome=Outcome(JobState.FAILED, failure=failure))
        case NotDone(reason, kind) | InDoubt(reason, kind) if now - since >= policy.unreachable_s:
            if progress.intent is Intent.CREATE_THREAD:  # tidying may not come to settle it any more
                progress = replace(progress, intent=None, lost_threads=progress.lost_threads + 1)
            message = f"no usable reply for {now - since:.0f} s; last: {reason}"
            failure = Failure(kind=kind, message=message, retryable=True)
            return replace(progress, outcome=Outcome(JobState.FAILED, failure=failure))
        case NotDone() | InDoubt():
            return progress
        case _:
            assert_never(trouble)


def _interval(run: RunView, age: float, policy: Policy) -> float:
    """Seconds to the next look: the server's wish, else a share of the time the run has been at work."""
    if run.poll_after_s is not None:
        shortest, longest = HINT_RANGE_S
        return min(max(shortest, run.poll_after_s), longest)  # in this order, NaN too is the shortest
    return min(max(age * LOOK_SHARE, policy.poll_first_s), policy.poll_longest_s)
