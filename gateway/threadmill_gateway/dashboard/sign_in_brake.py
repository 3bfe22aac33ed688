"""Slows down who tries keys. PURE but for its clock.

Each gateway counts for itself: a key has 256 random bits, so no number of gateways makes a guess likely. The brake
keeps guesses from costing time and log lines.
"""

import time
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

#: So many wrong keys are accepted at once from an address, and then one in so many seconds.
BURST = 10
EVERY_S = 6.0

#: Addresses that are remembered. The one that has tried least recently is forgotten first.
_REMEMBERED = 10_000


class SignInBrake:
    """`clock`: monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._paid_at: dict[str, float] = {}  #: when the wrong keys of an address are forgotten

    def wait_s(self, address: str) -> float:
        """Returns how long an address has to wait until it may try a key; 0: it may now."""
        owed_s = self._paid_at.get(_network(address), 0.0) - self._clock()
        return max(0.0, owed_s - (BURST - 1) * EVERY_S)

    def count(self, address: str) -> None:
        """Counts a wrong key."""
        network, now = _network(address), self._clock()
        paid_at = max(now, self._paid_at.pop(network, now)) + EVERY_S
        self._paid_at[network] = paid_at
        if len(self._paid_at) > _REMEMBERED:
            del self._paid_at[next(iter(self._paid_at))]


def _network(address: str) -> str:
    """Returns what one person has: an IPv4 address, or the /64 network of an IPv6 address."""
    try:
        parsed = ip_address(address)
    except ValueError:  # a socket of this machine
        return address
    return str(IPv6Address(int(parsed) >> 64 << 64)) if isinstance(parsed, IPv6Address) else address
