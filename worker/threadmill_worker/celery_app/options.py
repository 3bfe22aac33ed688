"""Refuses options of `celery worker` that would break this worker or have no effect, and names the alternative.

These options are harmless: -E, -I, -O, -S, --disable-prefetch, --prefetch-multiplier, --without-heartbeat and
--heartbeat-interval.
"""

from typing import Any

from celery.concurrency.thread import TaskPool as ThreadPool

_LIMIT = "has no effect on jobs, which share one process: set `timeout_s` of a job, or `timeout_s` of a tool"
_CHILD = "has no effect, because the threads pool has no child processes: limit the memory of the worker's service"


def refusal(worker: Any, queue: str) -> str | None:
    """Returns why this Celery worker cannot run, in one sentence; None if it can. `queue`: from the settings."""
    given = worker.options
    reasons = {
        "--pool": _is_another_pool(worker.pool_cls)
        and "must be `threads`, the default: all jobs of a worker share one event loop, which only threads can reach",
        "--autoscale": given.get("autoscale")
        and "does not work with the threads pool: set --concurrency to the largest number of jobs at a time; "
        "a free slot costs little",
        "--concurrency": _is_no_number(worker.concurrency)
        and "must be a number of at least 1: the number of jobs at a time",
        "--max-tasks-per-child": worker.max_tasks_per_child and _CHILD,
        "--max-memory-per-child": worker.max_memory_per_child and _CHILD,
        "--time-limit": worker.time_limit and _LIMIT,
        "--soft-time-limit": worker.soft_time_limit and _LIMIT,
        "--beat": given.get("beat")
        and "does not work inside this worker: run `threadmill report schedule`, or `celery beat` for your own app",
        "--purge": given.get("purge")
        and "would delete jobs that other Celery clients sent: cancel jobs with `threadmill jobs cancel`",
        "--queues": set(worker.app.amqp.queues.consume_from) != {queue}
        and f"must be {queue!r}, the setting `queue`: change it there, for producers too",
    }
    return next((f"{option} {reason}" for option, reason in reasons.items() if reason), None)


def _is_another_pool(pool: Any) -> bool:
    return not (isinstance(pool, type) and issubclass(pool, ThreadPool))


def _is_no_number(concurrency: Any) -> bool:
    return not isinstance(concurrency, int) or concurrency < 1
