"""Celery's consumer, hardened against a Redis outage while messages are in hand, and against foreign messages.

Celery 5.7 ends the worker then, of an AttributeError: kombu gives unacknowledged messages back, and acknowledges
them later, over the channel that is gone. Neither is needed here: a message is only a wake-up. One that could not be
acknowledged comes again after the visibility timeout, and is ignored because its job has ended.
"""

import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import structlog
from celery.utils.log import get_logger
from celery.worker.consumer import Consumer as CeleryConsumer
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)
_celery_log = get_logger(__name__)

#: Between two connections that Redis refuses to serve.
RECONNECT_S = 1.0


class Consumer(CeleryConsumer):  # type: ignore[misc]
    """Named in the setting `worker_consumer`."""

    _last_error_at = -math.inf

    class Blueprint(CeleryConsumer.Blueprint):  # type: ignore[misc]
        def info(self, consumer: Any) -> dict[str, Any]:
            """What `celery inspect stats` shows. Celery's own holds passwords, in options and in alternative URLs."""
            broker = {"uri": consumer.connection.as_uri()} if consumer.connection else "N/A"
            return {**super().info(consumer), "broker": broker}

    def on_connection_error_before_connected(self, exc: Exception) -> None:
        """Redis accepted the connection and refused the first command."""
        super().on_connection_error_before_connected(exc)
        self._pause()

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Closes the broken connection; an error in that is ignored."""
        _tolerant(super().on_connection_error_after_connected, exc)
        self._pause()

    def _pause(self) -> None:
        """Waits before another connection is made after a second error: Redis may refuse one after another."""
        now = time.monotonic()
        if now - self._last_error_at < 2 * RECONNECT_S:
            time.sleep(RECONNECT_S)
        self._last_error_at = now

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], None]:
        """Celery's handler; a message that it raises an exception for is logged and dropped."""
        handle = super().create_task_handler(*args, **kwargs)

        def on_task_received(message: Any) -> None:
            try:
                if not _names_a_task(message):
                    raise ValueError("its headers name no task and id")
                handle(message)
            except (*self.connection_errors, RedisError):
                raise
            except Exception as error:
                log.error("message dropped", reason=f"it is no task: {type(error).__name__}")
                message.reject_log_error(_celery_log, self.connection_errors)

        return on_task_received

    def call_soon_ack(self, acknowledge: Callable[..., None], *args: Any, **kwargs: Any) -> Any:
        """Acknowledges a message, if its channel still exists."""
        return super().call_soon_ack(partial(_tolerant, acknowledge), *args, **kwargs)


def _names_a_task(message: Any) -> bool:
    """Whether the headers fit Celery's protocol 2, or are those of protocol 1, which has the task in its body."""
    headers = message.headers
    if not isinstance(headers, dict):
        return False
    return "task" not in headers or (isinstance(headers["task"], str) and isinstance(headers.get("id"), str))


def _tolerant(step: Callable[..., None], *args: Any, **kwargs: Any) -> None:
    try:
        step(*args, **kwargs)
    except Exception as error:
        log.debug("cleanup after a lost connection failed", reason=str(error))
