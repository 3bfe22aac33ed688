"""Decides which key of its endpoint a job uses."""

from threadmill.job.prompt import PromptJob
from threadmill.settings.endpoints.endpoint import Endpoint
from threadmill.settings.endpoints.pool_name import Pool
from threadmill.store.records.job import JobRecord
from threadmill_worker.store.jobs import JobStore


async def key_of(record: JobRecord, name: str, endpoint: Endpoint, job_store: JobStore) -> str | None:
    """Returns the variable with the key that a job uses; None: its endpoint, of this name, has at most one.

    Remote objects belong to the key that they were made with. So a job uses one key until its end, and the key of the
    thread or the assistant that it names, whatever pool it was dispatched to. Raises UnreadableThread.
    """
    if (progress := record.progress_summary) is not None:
        return progress.key or endpoint.first_key
    if endpoint.first_key is None:
        return None
    pool = Pool.parse(record.pool or "")
    named = await _named_key(record.job, name, endpoint, job_store)
    return named or (pool.key if pool.endpoint == name else None) or endpoint.first_key


async def _named_key(job: PromptJob, name: str, endpoint: Endpoint, job_store: JobStore) -> str | None:
    """Returns the key of the thread or the assistant that the job names, if it is known."""
    if job.thread is not None:
        kept = await job_store.kept_thread(name, job.thread)
        return kept.key if kept else None
    if job.profile is not None and endpoint.has_assistants:
        applied = await job_store.applied(name, job.profile)
        return applied.key if applied else None
    return None
