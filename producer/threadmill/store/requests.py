"""The requests of scripts that producers and workers both call."""

import json
from collections.abc import Sequence
from typing import Any

from threadmill.job.prompt import PromptJob
from threadmill.job.result import JobResult
from threadmill.store.batch_records import BatchRecord
from threadmill.store.keys import celery_key, thread_name
from threadmill.store.records import packed


def create(job_id: str, job: PromptJob, endpoint: str) -> dict[str, Any]:
    """Returns the request of `jobs/create`. `endpoint` is the job's, or the default one."""
    return {
        "id": job_id,
        "job": packed(job),
        "digest": job.digest,
        "idempotency_key": job.key,
        "batch": job.batch,
        "turn": thread_name(endpoint, job.thread) if job.thread else None,
    }


def finish(
    owner: str | None, result: JobResult, lifetimes_s: tuple[int, int], leftovers: Sequence[str] = (), **more: Any
) -> dict[str, Any]:
    """Returns the request of `jobs/finish`, with what Celery's `AsyncResult(job_id)` reads.

    `lifetimes_s`: how long a succeeded and any other job is kept. `more`: further fields of the request.
    """
    body = result.model_dump(mode="json")
    return {
        "id": result.job_id,
        "owner": owner,
        "state": result.state,
        "result": _json(body),
        "ttl_s": lifetimes_s[0 if result.ok else 1],
        "longest_ttl_s": max(lifetimes_s),
        "celery_key": celery_key(result.job_id),
        "celery_meta": _json(_celery_meta(result.job_id, body)),
        # As text: Lua's numbers have 53 bits.
        "batch_counts": {field: str(number) for field, number in BatchRecord.counts(result).items()},
        "leftovers": list(leftovers),
        **more,
    }


def celery_result(result: JobResult) -> str:
    """Encodes a result as Celery's Redis backend does."""
    body = result.model_dump(mode="json")
    return _json({"result": body, **_celery_meta(result.job_id, body)})


def _celery_meta(job_id: str, body: dict[str, Any]) -> dict[str, Any]:
    """What Celery's Redis backend stores beside a result."""
    return {
        "status": "SUCCESS",  # of the task; the result says whether the job succeeded
        "traceback": None,
        "children": [],
        "date_done": body["timings"]["finished_at"],
        "task_id": job_id,
    }


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
