"""Decides whether a job starts a new run or fails. PURE."""

from threadmill.job.result import Failure, FailureKind
from threadmill.settings.endpoints.run_limits import RunLimits
from threadmill_worker.lifecycle.observations import RunObservation
from threadmill_worker.lifecycle.progress import REASON_CHARACTERS, Progress
from threadmill_worker.lifecycle.replace import replace
from threadmill_worker.lifecycle.steps.outcome import reason_of
from threadmill_worker.lifecycle.steps.recovery.limits import run_limited


def run_ended(progress: Progress, run: RunObservation, limits: RunLimits, now: float) -> Progress:
    """Applies the status of a run that ended without an answer. Other statuses change nothing."""
    match run.status:
        case "failed":
            failure = reason_of(run)
            if failure.kind is FailureKind.RATE_LIMITED:
                return run_limited(progress, failure, now)
            return rerun(progress, failure, limits, now) if failure.retryable else progress.failed(failure)
        case "expired":
            message = "the run expired on the server"
            failure = Failure(kind=FailureKind.EXPIRED, message=message, retryable=True)
            return rerun(progress, failure, limits, now)
        case "cancelled" if progress.run is not None and progress.run.cancel_requested_at is not None:
            message = "the run did not end within its limits and was cancelled"
            failure = Failure(kind=FailureKind.STUCK, message=message, retryable=True)
            return rerun(progress, failure, limits, now, new_thread=True)
        case "cancelled":
            message = "the run was cancelled by somebody else"
            failure = Failure(kind=FailureKind.CANCELLED_REMOTELY, message=message, retryable=True)
            return progress.failed(failure)
        case _:
            return progress


def rerun(progress: Progress, failure: Failure, limits: RunLimits, now: float, *, new_thread: bool = False) -> Progress:
    """Starts another run if the limits allow one. `new_thread`: the old thread may stay locked."""
    if progress.outcome is not None:
        return replace(progress, run=None, intent=None)
    stranded = new_thread and progress.features.continues  # the job needs this thread
    if progress.reruns >= limits.max_reruns or stranded:
        return replace(progress, intent=None).failed(failure)
    delay_s = limits.rerun_delay_s * 2**progress.reruns
    if new_thread:
        progress = replace(progress, thread_id=None, messages_sent=0)
    reruns, reason = progress.reruns + 1, f"{failure.kind}: {failure.message}"[:REASON_CHARACTERS]
    return replace(
        progress, run=None, intent=None, pending=None, reruns=reruns, rerun_reason=reason, wait_until=now + delay_s
    )
