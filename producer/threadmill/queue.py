"""The Celery app and how a job's id travels. The record in Redis is the job; a message only wakes a worker."""

from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any
from urllib.parse import quote

from celery import Celery
from redis.backoff import NoBackoff
from redis.retry import Retry

from threadmill.redis.client import TIMEOUTS, Master, sentinel_options
from threadmill.redis.url import parse
from threadmill.settings.settings import Settings

TASK = "threadmill.run_job"


def connection_settings(url: str) -> dict[str, Any]:
    """Celery's settings that make the Redis of a URL its broker and result backend."""
    parsed = parse(url)
    options = {**TIMEOUTS, **parsed.options}
    user, password, database = options.pop("username", ""), options.pop("password", ""), options.pop("db", 0)
    login = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user or password else ""
    transport, backend_options = None, {}
    if parsed.sentinels:
        hosts = [_authority(*each) for each in parsed.sentinels]
        broker = f"sentinel://{login}{hosts[0]}/{database}"
        transport = "threadmill.redis.sentinel_transport:SentinelTransport"
        options["master"] = Master(parsed)
        backend = ";".join(f"sentinel://{host}/{database}" for host in hosts)
        once = Retry(NoBackoff(), 0)
        backend_options = {"master_name": parsed.master, "sentinel_kwargs": {**sentinel_options(parsed), "retry": once}}
    elif "path" in options:
        broker = backend = f"redis+socket://{login}{quote(options.pop('path'))}?virtual_host={database}"
    else:
        address = _authority(options.pop("host", "localhost"), options.pop("port", 6379))
        broker = backend = f"{'rediss' if parsed.tls else 'redis'}://{login}{address}/{database}"
    return {
        "broker_url": broker,
        "broker_transport": transport,
        "broker_transport_options": options,
        "result_backend": backend,
        "result_backend_transport_options": backend_options,
        "redis_username": user or None,  # the backend's; Celery would show a password in a URL of several
        "redis_password": password or None,
        "redis_socket_timeout": options["socket_timeout"],
        "redis_socket_connect_timeout": options["socket_connect_timeout"],
        **({"broker_use_ssl": parsed.tls, "redis_backend_use_ssl": parsed.tls} if parsed.tls else {}),
    }


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def make_app(settings: Settings) -> Celery:
    """A Celery app on the settings' Redis; connects to nothing yet."""
    app = Celery("threadmill")
    app.conf.update(
        **connection_settings(settings.redis_url),
        task_default_queue=settings.queue,
        # One thread waits for each job in flight, the work itself is in one event loop: see tasks.py of the worker.
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
