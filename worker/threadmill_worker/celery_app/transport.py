"""kombu's Redis transport, hardened against error replies of Redis, and against queue items that are not messages.

With kombu 5.7, an error reply of Redis, for example after a failover, ends the worker. Here it only closes the
connection, and Celery reconnects.

An item that cannot be decoded would also end the worker. Here it is logged and kept as a dead letter. The log does not
show its content, which may be a prompt.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from queue import Empty
from typing import Any

import redis
import structlog
from kombu.transport import TRANSPORT_ALIASES
from kombu.transport.redis import Channel as KombuChannel
from kombu.transport.redis import QoS as KombuQoS
from kombu.transport.redis import Transport as KombuTransport
from kombu.transport.virtual import QoS as VirtualQoS
from redis.exceptions import DataError, RedisError

from threadmill.queue import is_own
from threadmill.redis import sentinel_transport
from threadmill.settings.settings import Settings
from threadmill.store.connection import moment_of
from threadmill.store.keys import Keys
from threadmill.store.records.dead_letter import DeadLetter

log = structlog.get_logger(__name__)

#: How many dead letters are kept; the oldest are dropped.
KEPT = 100

_OPTION = "dead_letters"

_heard_at: float | None = None


def heard_at() -> float | None:
    """Returns when this process last had a reply to its question for messages, by the monotonic clock; None: never."""
    return _heard_at


def _note_reply() -> None:
    global _heard_at
    _heard_at = time.monotonic()


class Undeliverable(ValueError):
    """The message cannot become a job. The text says why, without quoting the message."""


class Client(redis.Redis):
    """Remembers the queue item that it read last."""

    item = b""

    def parse_response(self, connection: Any, command_name: Any, **options: Any) -> Any:
        reply = super().parse_response(connection, command_name, **options)  # type: ignore[no-untyped-call]
        if command_name == "BRPOP":
            _note_reply()
            if reply:
                self.item = reply[1]
        return reply


class QoS(KombuQoS):
    """Keeps unacknowledged messages of other Celery clients in Redis, as kombu does, and threadmill's own in memory.

    A job whose own message was lost is dispatched again: lua/queue/undelivered.lua. A message is forgotten even if its
    acknowledgement fails; then it is delivered again later, and ignored.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)  # type: ignore[no-untyped-call]
        self._own: set[Any] = set()  #: the delivery tags of unacknowledged messages of threadmill

    def append(self, message: Any, delivery_tag: Any) -> None:
        if is_own(message.headers):
            self._own.add(delivery_tag)
            VirtualQoS.append(self, message, delivery_tag)  # type: ignore[no-untyped-call]
        else:
            super().append(message, delivery_tag)  # type: ignore[no-untyped-call]

    def ack(self, delivery_tag: Any) -> None:
        if delivery_tag in self._own:
            self._own.discard(delivery_tag)
            VirtualQoS.ack(self, delivery_tag)  # type: ignore[no-untyped-call]
            return
        try:
            super().ack(delivery_tag)  # type: ignore[no-untyped-call]
        except (RedisError, OSError):
            VirtualQoS.ack(self, delivery_tag)  # type: ignore[no-untyped-call]
            raise

    def reject(self, delivery_tag: Any, requeue: bool = False) -> None:
        if delivery_tag in self._own:
            self.ack(delivery_tag)  # Redis has nothing to put back on the queue
        else:
            super().reject(delivery_tag, requeue)  # type: ignore[no-untyped-call]


class _Tolerant:
    """Mixin for channels: keeps items that cannot be delivered, and raises only errors of the connection."""

    connection: Any
    client: Client
    pool: redis.ConnectionPool
    QoS = QoS
    _sender: Any = None

    def _get_client(self) -> type[redis.Redis]:
        return Client

    @contextmanager
    def conn_or_acquire(self, client: redis.Redis | None = None) -> Iterator[Any]:
        """Returns one client for all commands: kombu makes one for each, which costs more than the command."""
        if client is None and (self._sender is None or self._sender.connection_pool is not self.pool):
            with super().conn_or_acquire() as self._sender:  # type: ignore[misc]
                pass
        yield client or self._sender

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[misc]
        except (Empty, RedisError, OSError) as error:
            if not isinstance(error, DataError):  # a field of the message has a type that Redis does not accept
                raise
            self._keep("it cannot be decoded: DataError")
        except Undeliverable as error:
            self._keep(str(error))
        except Exception as error:
            self._keep(f"it cannot be decoded: {type(error).__name__}")
        return True

    def _receive(self) -> Any:
        """Reads a broadcast to all workers; an invalid one is dropped."""
        try:
            return super()._receive()  # type: ignore[misc]
        except (Empty, RedisError, OSError):
            raise
        except Exception as error:
            log.error("message dropped", reason=f"it cannot be decoded: {type(error).__name__}")
            return True

    def _keep(self, reason: str) -> None:
        """Adds the item read last to the dead letters."""
        item = self.client.item
        digest = sha256(item).hexdigest()
        log.error("message dropped", reason=reason, size=len(item), sha256=digest)
        if _OPTION not in self.connection.client.transport_options:
            return
        prefix, ttl_s = self.connection.client.transport_options[_OPTION]
        letters, count = Keys(prefix).dead_letters, Keys(prefix).dead_letters_count
        try:
            with self.conn_or_acquire() as connection, connection.pipeline() as pipe:
                letter = DeadLetter.of(item, reason, moment_of(connection.time()))
                pipe.lpush(letters, letter.model_dump_json())
                pipe.ltrim(letters, 0, KEPT - 1)
                pipe.incr(count)
                for key in (letters, count):
                    pipe.expire(key, ttl_s)
                pipe.execute()
        except RedisError as error:
            log.error("dead letter lost", sha256=digest, reason=type(error).__name__)


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


def options(settings: Settings) -> dict[str, Any]:
    """Returns the entries of Celery's setting `broker_transport_options` that the dead letters need."""
    return {_OPTION: (settings.key_prefix, settings.failed_ttl_s)}


def install() -> None:
    """Makes all later connections of this process use these transports."""
    TRANSPORT_ALIASES.update(
        redis=f"{__name__}:Transport", rediss=f"{__name__}:Transport", sentinel=f"{__name__}:SentinelTransport"
    )
