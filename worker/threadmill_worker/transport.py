"""kombu's Redis transport, hardened against states of Redis, and against items on the queue that are no messages.

kombu 5.7 takes an error that Redis replies with, as after a failover, for a mistake of the program: that ends the
worker. Here it costs the connection, and Celery connects again.

kombu raises whatever decoding an item raises; that ends the worker, and the next item the next worker. Here an item
that cannot be delivered is logged and dropped. Its content is not logged: it may hold a prompt.
"""

from collections.abc import Callable
from queue import Empty
from typing import Any

import structlog
from kombu.transport import TRANSPORT_ALIASES
from kombu.transport.redis import Channel as KombuChannel
from kombu.transport.redis import QoS as KombuQoS
from kombu.transport.redis import Transport as KombuTransport
from kombu.transport.virtual import QoS as VirtualQoS
from redis.exceptions import RedisError

from threadmill import sentinel_transport

log = structlog.get_logger(__name__)


class QoS(KombuQoS):
    """A message whose acknowledgement fails takes no room any more: it comes again later, and is ignored then."""

    def ack(self, delivery_tag: Any) -> None:
        try:
            super().ack(delivery_tag)  # type: ignore[no-untyped-call]
        except (RedisError, OSError):
            VirtualQoS.ack(self, delivery_tag)  # type: ignore[no-untyped-call]
            raise


class _Tolerant:
    """For a channel: drops what cannot be read, and raises only what concerns the connection."""

    QoS = QoS

    def _brpop_read(self, **options: Any) -> Any:
        return _read(super()._brpop_read, **options)  # type: ignore[misc]

    def _receive(self) -> Any:
        return _read(super()._receive)  # type: ignore[misc]


def _read(read: Callable[..., Any], **options: Any) -> Any:
    try:
        return read(**options)
    except (Empty, RedisError, OSError):
        raise
    except Exception as error:
        log.error("message dropped", reason=f"it cannot be decoded: {type(error).__name__}")
        return True


class Channel(_Tolerant, KombuChannel):
    pass


class SentinelChannel(_Tolerant, sentinel_transport.SentinelChannel):
    pass


class Transport(KombuTransport):
    Channel = Channel
    connection_errors = (*KombuTransport.connection_errors, RedisError)


class SentinelTransport(sentinel_transport.SentinelTransport):
    Channel = SentinelChannel
    connection_errors = (*sentinel_transport.SentinelTransport.connection_errors, RedisError)


def install() -> None:
    """Has the connections that this process opens from now on use these transports."""
    TRANSPORT_ALIASES.update(
        redis=f"{__name__}:Transport", rediss=f"{__name__}:Transport", sentinel=f"{__name__}:SentinelTransport"
    )
