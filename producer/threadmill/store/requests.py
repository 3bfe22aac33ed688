"""The requests of scripts that producers and workers both call."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from threadmill.job.prompt import PromptJob
from threadmill.job.result import JobResult
from threadmill.settings.settings import Settings
from threadmill.store.keys import celery_key, thread_name
from threadmill.store.records.batch import BatchRecord
from threadmill.store.records.flow import Flow
from threadmill.store.records.job import Sender
from threadmill.store.records.packing import pack, pack_job
from threadmill.store.records.stats import batch_stats, failure_of, hour_counts
from threadmill.surrogates import replace_surrogates
from threadmill.tracing.spans import TraceContext


def create(
    job_id: str,
    job: PromptJob,
    endpoint: str,
    pools: Sequence[str],
    thread_ttl_s: int,
    sender: Sender = Sender.CLIENT,
    trace: TraceContext | None = None,
) -> dict[str, Any]:
    """Returns the request of `jobs/create`. `trace`: the context of the call that enqueues the job.

    `endpoint` is the job's, or the default one. `pools`: those that the job may use, the preferred first. A job awaits
    none of them to enter the batch lane, because the provider's Batch API has limits of its own.
    """
    awaited = () if job.lane == "batch" else pools
    return {
        "id": job_id,
        "job": pack_job(job),
        "digest": job.digest,
        "sender": sender,
        "idempotency_key": job.key,
        "batch": job.batch,
        "tenant": job.tenant,
        "turn": thread_name(endpoint, job.thread) if job.thread else None,
        "thread_ttl_s": thread_ttl_s if job.thread else None,
        "flow": Flow(job.priority, job.tenant or job.batch or "", job.batch or "", tuple(awaited)).name,
        "not_before": job.start_at.timestamp() if job.start_at else None,
        "delay_s": job.delay_s,
        "callback": job.callback.model_dump_json(exclude_defaults=True) if job.callback else None,
        "deadline_at": job.deadline_at.timestamp() if job.deadline_at else None,
        **(trace._asdict() if trace else {}),
    }


def finish(
    owner: str | None,
    result: JobResult,
    sender: str,
    settings: Settings,
    leftovers: Sequence[str] = (),
    **more: Any,
) -> dict[str, Any]:
    """Returns the request of `jobs/finish`. `more`: further fields of it.

    `sender`: as in the job's record, '' if that is unreadable. The result of a job without a sender is not compressed,
    because a client of an older version may wait for it. All but threadmill's clients get Celery's copy.
    """
    text = _json(result.model_dump(mode="json", exclude_defaults=True))
    if settings.celery_results or sender != Sender.CLIENT:
        more |= {"celery_key": celery_key(result.job_id), "celery_result": celery_result(result)}
    return {
        "id": result.job_id,
        "owner": owner,
        "state": result.state,
        "result": pack(text) if sender else text,
        "ttl_s": settings.lifetimes_s[0 if result.ok else 1],
        "longest_ttl_s": max(settings.lifetimes_s),
        "failure": failure_of(result),
        "batch_counts": _numbers(BatchRecord.counts(result)),
        "hour_counts": _numbers(hour_counts(result)),
        "batch_stats": _numbers(batch_stats(result)),
        "leftovers": list(leftovers),
        "thread_ttl_s": settings.thread_ttl_s,
        **more,
    }


def _numbers(counts: Mapping[str, int]) -> dict[str, str]:
    """Returns the numbers as text: Lua's numbers have 53 bits."""
    return {field: str(number) for field, number in counts.items()}


def celery_result(result: JobResult) -> str:
    """Encodes a result as Celery's Redis backend does: Celery's `AsyncResult(job_id)` reads it."""
    body = result.model_dump(mode="json")
    meta = {
        "result": body,
        "status": "SUCCESS",  # of the task; the result says whether the job succeeded
        "traceback": None,
        "children": [],
        "date_done": body["timings"]["finished_at"],
        "task_id": result.job_id,
    }
    return _json(meta)


def _json(value: Any) -> str:
    return replace_surrogates(json.dumps(value, ensure_ascii=False))
