"""What happens to jobs of the batch lane that their remote batch brought no answer for. PURE."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from threadmill.job.result import Failure, FailureKind
from threadmill.settings.run_limits import RunLimits
from threadmill.store.batch_records import RemoteBatch
from threadmill.store.records import JobRecord
from threadmill_worker.lifecycle.actions import StartRun
from threadmill_worker.lifecycle.batch_observations import Answered, BatchObservation
from threadmill_worker.lifecycle.observe import observe
from threadmill_worker.lifecycle.progress import Progress
from threadmill_worker.lifecycle.recovery.reruns import rerun

#: Before a remote batch is sent again: doubles from the first to the longest.
RETRY_FIRST_S = 60.0
RETRY_LONGEST_S = 1800.0

#: Failures that the ordinary way would end in too.
_AT_ANY_PRICE = frozenset({FailureKind.UNAUTHORISED, FailureKind.QUOTA, FailureKind.INVALID_PROMPT})


def remedy(endpoint: str) -> str:
    """How a job gets past the batch lane, for messages."""
    return f'leave out `lane`, or set lane_fallback = "full_price" in [endpoints.{endpoint}]'


def answered(progress: Progress, reply: Answered, limits: RunLimits, now: float) -> Progress:
    """Returns the progress of a job whose run ended in a remote batch."""
    if reply.run is None:
        return progress
    progress = replace(progress, thread_id="", messages_sent=progress.messages)
    return observe(progress, StartRun(progress.runs + 1), reply.run, limits, now)


def failed(progress: Progress, failure: Failure, endpoint: str) -> Progress:
    """Returns the progress of a job that the batch lane cannot answer."""
    if failure.kind not in _AT_ANY_PRICE:
        message = f"{failure.message}; to run such jobs at full price, {remedy(endpoint)}"
        failure = failure.model_copy(update={"message": message})
    return replace(progress, run=None, intent=None).failed(failure)


def refused(progress: Progress, failure: Failure, endpoint: str, limits: RunLimits, now: float) -> Progress:
    """Returns the progress of a job whose request got an error: another run, if one is left and may help."""
    again = rerun(progress, failure, limits, now) if failure.retryable else progress
    return again if again.reruns > progress.reruns else failed(progress, failure, endpoint)


def overdue(job: JobRecord, reason: str | None, limit_s: float, now: datetime) -> Failure:
    """Why a job fails that has waited for too long."""
    deadline = job.job.deadline_at
    limit = "its deadline" if deadline is not None and deadline <= now else f"{limit_s:g} s (batch_lane_limit_s)"
    message = f"the batch lane brought no answer within {limit}{f'; last: {reason}' if reason else ''}"
    return Failure(kind=FailureKind.OVERDUE, message=message, retryable=True)


def verdict(custom_id: str, seen: BatchObservation, wrong: Mapping[str, str]) -> Failure | None:
    """Why a job fails that the server did not come to; None: it goes into another remote batch.

    `wrong`: why lines of the input file are refused, by custom id.
    """
    if seen.status == "cancelled":
        message = "someone else cancelled the remote batch"
        return Failure(kind=FailureKind.CANCELLED_REMOTELY, message=message, retryable=True)
    if seen.status == "failed" and seen.reason and (not wrong or custom_id in wrong):
        return Failure(kind=FailureKind.REJECTED, message=wrong.get(custom_id, seen.reason))
    return None


def in_turn(batches: Iterable[RemoteBatch]) -> list[RemoteBatch]:
    """Those to work on now. In a lane whose limit was met, remote batches are sent one at a time, the oldest first."""
    ordered = sorted(batches, key=lambda batch: (batch.made_at, batch.name))
    waiting = [batch for batch in ordered if batch.batch_id is None]
    limited = {batch.lane for batch in waiting if batch.limited}
    first = {batch.lane: batch.name for batch in reversed(waiting)}
    return [
        batch for batch in ordered if batch.batch_id or batch.lane not in limited or first[batch.lane] == batch.name
    ]


def next_batches(
    batch: RemoteBatch, job_ids: Sequence[str], names: Sequence[str], reason: str, now: datetime, *, limited: bool
) -> list[tuple[RemoteBatch, Sequence[str]]]:
    """The remote batches that take over the jobs of one that is over, one for each name, after a wait."""
    wait = timedelta(seconds=min(RETRY_FIRST_S * 2**batch.tries, RETRY_LONGEST_S))
    most = math.ceil(len(job_ids) / len(names))
    parts = [job_ids[start : start + most] for start in range(0, len(job_ids), most)]
    return [
        (
            RemoteBatch(
                name=name,
                endpoint=batch.endpoint,
                lane=batch.lane,
                made_at=batch.made_at,
                tries=batch.tries + 1,
                limited=limited,
                not_before=now + wait,
                reason=reason,
            ),
            part,
        )
        for name, part in zip(names, parts, strict=False)
    ]
