"""Decides whether a job waits in the batch lane."""

from datetime import timedelta

from threadmill.job.result import FailureKind
from threadmill.settings.endpoints.endpoint import Endpoint
from threadmill.settings.endpoints.pool_name import pool_name
from threadmill.store.records.job import JobRecord
from threadmill_worker.attempt.context.not_served import NotServed
from threadmill_worker.lifecycle.batch_lane import remedy
from threadmill_worker.lifecycle.progress import Features
from threadmill_worker.store.redis_clock import RedisClock

#: How long a remote batch may take.
_LONGEST = timedelta(days=1)


def batch_lane_of(
    record: JobRecord,
    name: str,
    key: str | None,
    endpoint: Endpoint,
    features: Features,
    clock: RedisClock,
    *,
    has_tools: bool,
) -> str | None:
    """Returns the name of the batch lane that starts the job's runs. None: the worker starts them, at the full price.

    `name`, `key`: of the job's endpoint, and of its key there. Jobs of one remote batch use the same key.
    Raises NotServed for a job that the lane cannot take and that must not run at the full price.
    """
    job = record.job
    if job.lane != "batch" or endpoint.has_assistants:
        return None
    if not endpoint.supports.batches and endpoint.lane_fallback == "none":
        message = f"endpoint {name!r} has no batches (batches = false in its `supports`): {remedy(name)}"
        raise NotServed(FailureKind.UNSUPPORTED, message, retryable=False)
    if not endpoint.supports.batches:
        return None
    lane = pool_name(name, features.model, key)
    obstacle = "has tools, from its profile" if has_tools else "has files to upload" if features.uploads else None
    if endpoint.lane_fallback == "full_price":
        is_due_soon = job.deadline_at is not None and job.deadline_at < clock.moment() + _LONGEST
        return lane if obstacle is None and record.progress is None and not is_due_soon else None
    if obstacle is not None and record.progress is None:
        message = f"the batch lane takes single questions, and this job {obstacle}: {remedy(name)}"
        raise NotServed(FailureKind.REJECTED, message, retryable=False)
    return lane if obstacle is None else None
