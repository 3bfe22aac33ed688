"""What is known about a job, by name: for commands and pages that show it."""

from datetime import UTC, datetime, timedelta
from typing import Any

from threadmill.client import Client
from threadmill.job.progress import ProgressSummary
from threadmill.job.result import JobResult, JobState
from threadmill.store.records.job import JobRecord


def facts_of(client: Client, record: JobRecord) -> dict[str, Any]:
    """Returns the facts about a job, and what it waits for while it is queued. Times are texts (ISO 8601)."""
    return summarise(record, client.store.now()) | _waiting(client, record)


def took_s(record: JobRecord, now: datetime) -> float | None:
    """Returns the seconds from the first claim to the job's end or to now; None if no worker has claimed it."""
    if record.started_at is None:
        return None
    return max(0.0, ((record.finished_at or now) - record.started_at).total_seconds())


def starts_at(record: JobRecord, now: datetime) -> datetime | None:
    """Returns the time before which a queued job does not start; None if it may start now, or has."""
    if record.state is not JobState.QUEUED:
        return None
    delay_s = record.job.delay_s
    moment = record.job.start_at if delay_s is None else record.created_at + timedelta(seconds=delay_s)
    return moment if moment is not None and moment > now else None


def summarise(record: JobRecord, now: datetime) -> dict[str, Any]:
    """Returns the facts about a job, by name."""
    failure, seconds = record.result.failure if record.result else None, took_s(record, now)
    return {
        "id": record.id,
        "state": record.state,
        "endpoint": record.endpoint,
        "batch": record.job.batch,
        "priority": record.job.priority if record.job.priority != "normal" else None,
        "tenant": record.job.tenant,
        "starts_at": (moment := starts_at(record, now)) and moment.isoformat(),
        "attempts": record.attempts,
        "created_at": record.created_at.isoformat(),
        "started_at": record.started_at and record.started_at.isoformat(),
        "finished_at": record.finished_at and record.finished_at.isoformat(),
        "worker": record.worker,
        "redriven": len(record.history) or None,
        "trace": record.trace and record.trace.id,
        "took_s": None if seconds is None else round(seconds, 3),
        "tokens": _tokens(record.result),
        "failure": failure and f"{failure.kind}: {failure.message}",
        **(_progress(record.progress_summary, now.timestamp()) if record.progress_summary else {}),
    }


def _tokens(result: JobResult | None) -> int | None:
    """Returns the number of tokens; None if it is not known yet or not reported."""
    return result.usage.total_tokens if result and result.usage.is_reported else None


def _waiting(client: Client, record: JobRecord) -> dict[str, Any]:
    """Returns what a queued job waits for."""
    waits_for = client.waits_for(record.id) if record.state is JobState.QUEUED else None
    return {"waits_for": waits_for} | _in_lane(client, record) | _for_newer(client, record)


def _in_lane(client: Client, record: JobRecord) -> dict[str, Any]:
    """Returns how long a job has waited in the batch lane, and why."""
    if record.remote_batch is None:
        return {}
    batch = client.store.remote_batch(record.remote_batch)
    return {
        "lane_since": record.lane_since and record.lane_since.isoformat(),
        "remote_batch": (batch and batch.batch_id) or "not sent yet",
        "sent_again": (batch and batch.tries) or None,
        "next_try": batch and batch.not_before and batch.not_before.isoformat(),
        "call_error": batch and batch.reason,
    }


def _for_newer(client: Client, record: JobRecord) -> dict[str, Any]:
    """Returns why a queued job waits for a worker of a newer version, if it does."""
    if record.state is not JobState.QUEUED:
        return {}
    known = max((worker.format for worker in client.workers()), default=record.format)
    if known < record.format:
        return {"left_alone": f"its record has format {record.format}, and the workers know {known}: update them"}
    return {"left_alone": record.newer and f"by workers of this version: {record.newer.reason}"}


def _progress(progress: ProgressSummary, now: float) -> dict[str, Any]:
    """Returns the progress of an unfinished job."""
    limit = progress.limited if progress.limited and progress.limited.until > now else None
    reason = f" (last: {progress.rerun_reason})" if progress.rerun_reason else ""
    run, errors = progress.run, progress.errors
    return {
        "thread": progress.thread_id,
        "run": run and run.seen.id,
        "run_status": run and run.seen.status,
        "run_since": run and _iso(run.started_at),
        "reruns": f"{progress.reruns}{reason}" if progress.reruns else None,
        "tools": progress.pending_tools,
        "limited_by": limit and limit.reason,
        "limited_until": limit and _iso(limit.until),
        "limited_s": round(progress.limited_s, 3) or None,
        "ending": progress.failure and f"{progress.failure.kind}: {progress.failure.message}",
        "call_error": errors.reason,
        "failed_calls": (errors.reason and errors.count) or None,
        "call_error_since": errors.reason and _iso(errors.first_at),
        "deadline": _iso(progress.deadline_at),
    }


def _iso(moment: float | None) -> str | None:
    return datetime.fromtimestamp(moment, UTC).isoformat() if moment else None
