"""Celery's consumer, hardened against Redis outages and against foreign messages.

If Redis goes away while messages are unacknowledged, Celery 5.7 ends the worker with an AttributeError: kombu returns
and acknowledges them over a channel that no longer exists. Here such errors are ignored. A message only names a job: if
it was not acknowledged, it is delivered again after the visibility timeout, and ignored if the job has ended.
"""

import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

import structlog
from celery.exceptions import NotRegistered
from celery.utils.log import get_logger
from celery.worker.consumer import Consumer as CeleryConsumer
from redis.exceptions import RedisError

from threadmill_worker.celery_app.transport import Undeliverable

log = structlog.get_logger(__name__)
_celery_log = get_logger(__name__)

#: Seconds between two attempts to connect, after a second error in a row.
RECONNECT_S = 1.0

#: How long events for Celery's monitors are collected, in seconds. A publication costs as much CPU as ten events.
EVENTS_S = 0.2


class Consumer(CeleryConsumer):  # type: ignore[misc]
    """For Celery's setting `worker_consumer`. A message that is not a task of this app becomes a dead letter."""

    _last_error_at = -math.inf
    _events_until = -math.inf  #: events until then are in a publication that is planned

    class Blueprint(CeleryConsumer.Blueprint):  # type: ignore[misc]
        def info(self, consumer: Any) -> dict[str, Any]:
            """For `celery inspect stats`. Celery's version shows passwords, in options and in alternative URLs."""
            broker = {"uri": consumer.connection.as_uri()} if consumer.connection else "N/A"
            return {**super().info(consumer), "broker": broker}

    def on_connection_error_before_connected(self, exc: Exception) -> None:
        """Called when Redis accepted the connection, but refused the first command."""
        super().on_connection_error_before_connected(exc)
        self._pause()

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Closes the broken connection, ignoring any error."""
        _tolerant(super().on_connection_error_after_connected, exc)
        self._pause()

    def _pause(self) -> None:
        """Waits before the next connection after a second error in a row."""
        now = time.monotonic()
        if now - self._last_error_at < 2 * RECONNECT_S:
            time.sleep(RECONNECT_S)
        self._last_error_at = now

    def on_send_event_buffered(self) -> None:
        """Plans to publish the events of tasks together. Celery publishes them in each round of its loop."""
        now = time.monotonic()
        if self.hub and now >= self._events_until:
            self._events_until = now + EVENTS_S
            self.hub.call_later(EVENTS_S, self._flush_events)

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], None]:
        """Checks messages before Celery's handler passes them to the pool, where invalid ones would be lost."""
        handle = super().create_task_handler(*args, **kwargs)

        def on_task_received(message: Any) -> None:
            try:
                _check(message)
                handle(message)
            except (*self.connection_errors, RedisError):
                raise
            except Exception as error:
                self._refuse(message, error, "it is not a task")

        return on_task_received

    def on_unknown_message(self, body: Any, message: Any) -> None:
        self._refuse(message, Undeliverable("it is not a message of Celery"))

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Fails the task for its sender, as Celery does."""
        fields = message.headers if "task" in message.headers else message.payload
        self.app.backend.mark_as_failure(fields["id"], NotRegistered(fields["task"]))
        self._refuse(message, Undeliverable("it is for another task"))

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:
        self._refuse(message, exc, "it is not a task")

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        self._refuse(message, exc, "its body cannot be decoded")

    def _refuse(self, message: Any, error: Exception, what: str = "") -> NoReturn:
        """Takes the message off the queue and raises Undeliverable, so that the transport keeps it as a dead letter."""
        if not message.acknowledged:
            message.reject_log_error(_celery_log, self.connection_errors)
        if isinstance(error, Undeliverable):
            raise error
        raise Undeliverable(f"{what}: {type(error).__name__}") from error

    def call_soon_ack(self, acknowledge: Callable[..., None], *args: Any, **kwargs: Any) -> Any:
        """Acknowledges a message if its channel still exists."""
        return super().call_soon_ack(partial(_tolerant, acknowledge), *args, **kwargs)


def _check(message: Any) -> None:
    """Raises Undeliverable unless the message has the fields that Celery needs to run and to return it."""
    headers, origin = message.headers, message.delivery_info
    if not isinstance(origin, dict) or not all(isinstance(origin.get(key), str) for key in ("exchange", "routing_key")):
        raise Undeliverable("it does not say which queue it came from")
    match headers:
        case {"task": str(), "id": str()}:  # Celery's protocol 2
            match message.payload:
                case [list(), dict(), None | dict()]:
                    return
            raise Undeliverable("its body is not a call")
        case dict() if "task" not in headers:  # protocol 1 has the task in its body
            if isinstance(message.payload, dict) and not isinstance(message.payload.get("args", []), list):
                raise Undeliverable("its body is not a call")
        case _:
            raise Undeliverable("its headers name no task and id")


def _tolerant(step: Callable[..., None], *args: Any, **kwargs: Any) -> None:
    try:
        step(*args, **kwargs)
    except Exception as error:
        log.debug("cleanup after a lost connection failed", reason=str(error))
