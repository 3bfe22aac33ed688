"""Decides what happens to jobs of the batch lane after their remote batch has ended. PURE."""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from threadmill.job.result import Failure, FailureKind
from threadmill.settings.endpoints.run_limits import RunLimits
from threadmill.store.records.batch import RemoteBatch
from threadmill.store.records.job import JobRecord
from threadmill_worker.lifecycle.actions import StartRun
from threadmill_worker.lifecycle.batch_observations import Answered, BatchObservation
from threadmill_worker.lifecycle.observe import observe
from threadmill_worker.lifecycle.progress import Progress
from threadmill_worker.lifecycle.replace import replace
from threadmill_worker.lifecycle.steps.recovery.limits import run_limited
from threadmill_worker.lifecycle.steps.recovery.reruns import rerun

#: The wait before a remote batch is sent again: it doubles from the first to the longest.
RETRY_FIRST_S = 60.0
RETRY_LONGEST_S = 1800.0

#: Failures that a run at full price would end in too.
_AT_ANY_PRICE = frozenset({FailureKind.UNAUTHORISED, FailureKind.QUOTA, FailureKind.INVALID_PROMPT})


def remedy(endpoint: str) -> str:
    """Returns the part of an error message that says how to run the job without the batch lane."""
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
    """Returns the progress of a job whose request failed: with another run if one is left and may help."""
    if failure.kind is FailureKind.RATE_LIMITED:
        return run_limited(progress, failure, now)
    again = rerun(progress, failure, limits, now) if failure.retryable else progress
    return again if again.reruns > progress.reruns else failed(progress, failure, endpoint)


def overdue(job: JobRecord, reason: str | None, limit_s: float, now: datetime) -> Failure:
    """Returns the failure of a job that has waited for too long."""
    deadline = job.job.deadline_at
    limit = "its deadline" if deadline is not None and deadline <= now else f"{limit_s:g} s (batch_lane_limit_s)"
    message = f"the batch lane brought no answer within {limit}{f'; last: {reason}' if reason else ''}"
    return Failure(kind=FailureKind.OVERDUE, message=message, retryable=True)


def verdict(custom_id: str, seen: BatchObservation, wrong: Mapping[str, str]) -> Failure | None:
    """Returns the failure of a job that the remote batch did not process; None: another remote batch takes it.

    `wrong`: why the server refused lines of the input file, by custom id.
    """
    if seen.status == "cancelled":
        message = "someone else cancelled the remote batch"
        return Failure(kind=FailureKind.CANCELLED_REMOTELY, message=message, retryable=True)
    if seen.status == "failed" and seen.reason and (not wrong or custom_id in wrong):
        return Failure(kind=FailureKind.REJECTED, message=wrong.get(custom_id, seen.reason))
    return None


def in_turn(batches: Iterable[RemoteBatch]) -> list[RemoteBatch]:
    """Returns the remote batches to work on now. A lane that met its limit sends one at a time, the oldest first."""
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
    """Splits the jobs of an ended remote batch into new remote batches, one for each name, sent after a wait."""
    wait = timedelta(seconds=min(RETRY_FIRST_S * 2**batch.tries, RETRY_LONGEST_S))
    size = math.ceil(len(job_ids) / len(names))
    parts = [job_ids[start : start + size] for start in range(0, len(job_ids), size)]
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
                key=batch.key,
            ),
            part,
        )
        for name, part in zip(names, parts, strict=False)
    ]
