"""How what came of an action changes the saved place of a job. PURE: the other half of lifecycle.py."""

import re
from dataclasses import replace
from typing import assert_never

from threadmill.job import Failure, FailureKind, JobState, Usage
from threadmill.policy import Policy
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
from threadmill_worker.progress import Intent, Leftover, Outcome, Progress
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

_QUOTA = re.compile(r"exceeded your current quota|insufficient_quota|credit balance", re.IGNORECASE)
#: "Please try again in 12.3s", "... in 120ms", "... in 1m26.4s".
_TRY_AGAIN = re.compile(r"try again in (?:(\d{1,3})m)?(\d{1,5}(?:\.\d+)?)\s*(ms|s)\b", re.IGNORECASE)


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
        case OutputReady(call_id, output):
            return replace(progress, outputs={**progress.outputs, call_id: output})
        case AnswerRead(blocks):
            return replace(progress, outcome=_answer(progress, blocks))
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
    news_at = max(progress.active_since, progress.cancel_asked_at or 0.0)
    progress = replace(progress, intent=None, run=run, look_at=now + _interval(run, now - news_at, policy))
    return progress if progress.outcome else _judge(progress, run, policy, now)


def _judge(progress: Progress, run: RunView, policy: Policy, now: float) -> Progress:
    """What a status means for the job; the open ones and those with an answer mean nothing yet."""
    match run.status:
        case "failed":
            failure, delay_s = _reason(run)
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


def _reason(run: RunView) -> tuple[Failure, float | None]:
    """Why a run failed, and how long the server asks to wait. Unknown codes are taken as permanent."""
    code, message = run.error_code, run.error_message or "the server gave no reason"
    match code:
        case "rate_limit_exceeded" | "insufficient_quota" | None if _QUOTA.search(f"{code} {message}"):
            return Failure(kind=FailureKind.QUOTA, message=message, code=code), None
        case "rate_limit_exceeded":
            kind = FailureKind.RATE_LIMITED
            return Failure(kind=kind, message=message, code=code, retryable=True), _asked_delay_s(message)
        case "server_error" | None:
            return Failure(kind=FailureKind.SERVER_ERROR, message=message, code=code, retryable=True), None
        case "invalid_prompt":
            return Failure(kind=FailureKind.INVALID_PROMPT, message=message, code=code), None
        case _:
            return Failure(kind=FailureKind.REJECTED, message=message, code=code), None


def _asked_delay_s(message: str) -> float:
    """How long a rate limit's message asks to wait."""
    asked = _TRY_AGAIN.search(message)
    if asked is None:
        return 5.0
    minutes, number, unit = asked.groups()
    return 60 * int(minutes or 0) + float(number) / (1000 if unit.lower() == "ms" else 1)


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


def _answer(progress: Progress, blocks: tuple[dict[str, object], ...]) -> Outcome:
    """The job's outcome from the content of the run's messages."""
    texts = [_block_text(block) for block in blocks]
    text = "\n\n".join(part for part in texts if part)
    run = progress.run
    if run is not None and run.status == "incomplete":
        reason = run.incomplete_reason or "a limit"
        message = f"{reason} cut the answer; raise max_completion_tokens or shorten the input"
        failure = Failure(kind=FailureKind.INCOMPLETE, message=message, code=run.incomplete_reason)
        return Outcome(JobState.FAILED, text, blocks, failure)
    if not any(block.get("type") != "text" or _block_text(block).strip() for block in blocks):
        message = "the run completed without a message"
        failure = Failure(kind=FailureKind.EMPTY_ANSWER, message=message, retryable=True)
        return Outcome(JobState.FAILED, text, blocks, failure)
    return Outcome(JobState.SUCCEEDED, text, blocks)


def _block_text(block: dict[str, object]) -> str:
    text = block.get("text") if block.get("type") == "text" else block.get("refusal")
    value = text.get("value") if isinstance(text, dict) else text
    return value if isinstance(value, str) else ""


def _bear(progress: Progress, action: Action, trouble: Trouble, policy: Policy, now: float) -> Progress:
    """A call gave no usable reply."""
    since = progress.trouble_since if progress.trouble_since is not None else now
    troubles = progress.troubles + 1
    wait_s = min(BACKOFF_LONGEST_S, BACKOFF_FIRST_S * 2 ** (troubles - 1))
    if isinstance(trouble, NotDone):
        wait_s = trouble.retry_after_s or wait_s
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
