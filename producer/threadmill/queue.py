"""The Celery app and how a job's id travels. The record in Redis is the job; a message only wakes a worker."""

from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any

from celery import Celery

from threadmill.settings import Settings

TASK = "threadmill.run_job"


def make_app(settings: Settings) -> Celery:
    """A Celery app on the settings' Redis; connects to nothing yet."""
    app = Celery("threadmill", broker=settings.redis_url, backend=settings.redis_url)
    app.conf.update(
        task_default_queue=settings.queue,
        # One thread waits for each job in flight, the work itself is in one event loop: see worker/tasks.py.
        worker_pool="threads",
        worker_concurrency=settings.concurrency,
        # A worker takes no more than it can start: others are idle while it would hold messages back.
        worker_prefetch_multiplier=1,
        # A message outlives a killed worker; the lease keeps its second delivery from running the job twice.
        task_acks_late=True,
        # The record's FINISH step stores the result for AsyncResult; Celery must not store another.
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # Logging belongs to the worker's own set-up.
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
    )
    return app


def send(app: Celery, job_id: str, producer: Any = None) -> None:
    """Puts a job's id on the queue. A second message for the same job does no harm. `producer`: kombu's, to reuse."""
    app.send_task(TASK, args=[job_id], task_id=job_id, ignore_result=True, producer=producer)


def send_all(app: Celery, job_ids: Iterable[str]) -> None:
    """Puts many ids on the queue; kombu 5.7 and newer send them in few round trips."""
    with app.producer_or_acquire() as producer, getattr(producer, "batch", nullcontext)():
        for job_id in job_ids:
            send(app, job_id, producer)
