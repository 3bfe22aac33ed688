"""kombu's Sentinel transport, which finds the master as threadmill's other clients do.

kombu 5.7 needs the password in a URL for each sentinel, tries a sentinel that is away ten times before it asks the next
one, and its error shows all options of the connections to the sentinels.
"""

from typing import Any

import redis
from kombu.transport.redis import SentinelChannel as KombuSentinelChannel
from kombu.transport.redis import SentinelTransport as KombuSentinelTransport

from threadmill.redis.client import Master


class SentinelChannel(KombuSentinelChannel):
    """The transport option `master` finds the master; the host in the broker's URL is not used."""

    from_transport_options = (*KombuSentinelChannel.from_transport_options, "master")  # type: ignore[assignment]
    master: Master

    def _sentinel_managed_pool(self, asynchronous: bool = False) -> redis.ConnectionPool:
        options: dict[str, Any] = self._connparams(asynchronous)  # type: ignore[no-untyped-call]
        del options["host"], options["port"]
        return redis.ConnectionPool(connection_pool=self.master, **options)


class SentinelTransport(KombuSentinelTransport):
    Channel = SentinelChannel
