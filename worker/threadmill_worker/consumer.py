"""Celery's consumer, hardened against a Redis outage while messages are in hand.

Celery 5.7 ends the worker then, of an AttributeError: kombu gives unacknowledged messages back, and acknowledges
them later, over the channel that is gone. Neither is needed here: a message is only a wake-up. One that could not be
acknowledged comes again after the visibility timeout, and is ignored because its job has ended.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import structlog
from celery.worker.consumer import Consumer as CeleryConsumer

log = structlog.get_logger(__name__)


class Consumer(CeleryConsumer):  # type: ignore[misc]
    """Named in the setting `worker_consumer`."""

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Closes the broken connection; an error in that is ignored."""
        _tolerant(super().on_connection_error_after_connected, exc)

    def call_soon_ack(self, acknowledge: Callable[..., None], *args: Any, **kwargs: Any) -> Any:
        """Acknowledges a message, if its channel still exists."""
        return super().call_soon_ack(partial(_tolerant, acknowledge), *args, **kwargs)


def _tolerant(step: Callable[..., None], *args: Any, **kwargs: Any) -> None:
    try:
        step(*args, **kwargs)
    except Exception as error:
        log.debug("cleanup after a lost connection failed", reason=str(error))
