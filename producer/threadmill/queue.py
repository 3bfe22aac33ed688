"""The Celery app and its messages. A message only has a job's id; the job is in its record in Redis."""

import json
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from redis.backoff import NoBackoff
from redis.retry import Retry

from threadmill.redis.client import TIMEOUTS, Master, sentinel_options
from threadmill.redis.url import parse
from threadmill.settings.settings import Settings

if TYPE_CHECKING:
    from celery import Celery

TASK = "threadmill.run_job"

#: What the header `origin` says in the messages of jobs that threadmill's own client enqueued.
ORIGIN = "threadmill"


def is_own(headers: object) -> bool:
    """Whether a message with these headers is one of threadmill's own."""
    return isinstance(headers, Mapping) and headers.get("origin") == ORIGIN


def connection_settings(url: str) -> dict[str, Any]:
    """Returns the Celery settings that make the Redis at `url` the broker and the result backend."""
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
        "redis_username": user or None,  # for the backend; Celery would log a password in a URL with several hosts
        "redis_password": password or None,
        "redis_socket_timeout": options["socket_timeout"],
        "redis_socket_connect_timeout": options["socket_connect_timeout"],
        **({"broker_use_ssl": parsed.tls, "redis_backend_use_ssl": parsed.tls} if parsed.tls else {}),
    }


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def make_app(settings: Settings) -> "Celery":
    """Returns a Celery app that uses the Redis of the settings. Does not connect yet."""
    from celery import Celery  # takes longer than all other imports of a client that only reads

    app = Celery("threadmill")
    app.conf.update(
        **connection_settings(settings.redis_url),
        task_default_queue=settings.queue,
        # All jobs share one event loop, which only threads can reach. The worker's own pool is in celery_app/pool.py.
        worker_pool="threads",
        worker_concurrency=settings.concurrency,
        # A worker must not hold back messages that other workers could start.
        worker_prefetch_multiplier=1,
        # A message survives a killed worker; the lease prevents its second delivery from running the job twice.
        task_acks_late=True,
        # The script FINISH stores the result for AsyncResult; Celery must not store another.
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # The worker configures logging itself.
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
    )
    return app


def message_template(queue: str) -> str:
    """Returns the message of a job as Celery sends it, with `@JOB@` in place of the id and `@TAG@` of the delivery tag.

    Scripts of the store put messages on the queue, in the same step in which they change the job. kombu's other
    transports, such as the one in memory, and its Redis transport use the same message. It is equal in all processes,
    because it is part of the scripts' text, by which Redis caches them.
    """
    return _message_template().replace("@QUEUE@", queue)


@cache
def _message_template() -> str:
    """Returns the message with `@QUEUE@` in place of the queue's name."""
    from celery import Celery

    queue = "@QUEUE@"
    app = Celery(broker="memory://")
    app.conf.update(task_default_queue=queue)
    with app.connection() as connection:
        app.send_task(TASK, args=["@JOB@"], task_id="@JOB@", ignore_result=True, connection=connection)
        message = connection.channel().basic_get(queue, no_ack=True)
    properties = {**message.properties, "delivery_tag": "@TAG@", "reply_to": ""}
    del properties["body_encoding"]  # in base64, Lua could not replace the id
    parts = {
        "body": message.body.decode(),
        "content-encoding": message.content_encoding,
        "content-type": message.content_type,
        "headers": {**message.headers, "origin": ORIGIN},
        "properties": properties,
    }
    return json.dumps(parts, sort_keys=True)
