"""What Redis knows of nights, and who may change it: one holder of a lease makes a night, whoever calls."""

import os
import socket
import uuid
from datetime import UTC, date, datetime
from typing import cast

from threadmill.connection import Connection
from threadmill.errors import ThreadmillError
from threadmill.lease import Lease
from threadmill.reports.night import Night
from threadmill.stored import leave_out, read


class UnreadableNight(ThreadmillError):
    """What Redis holds of the night is damaged, or a newer version wrote it: nobody knows what was published."""

    def __init__(self, name: str, night: date) -> None:
        super().__init__(
            f"{name}, night of {night}: what is stored about it is damaged or was written by a newer version; "
            f"to produce it anew: threadmill report run {name} --date {night} --again"
        )


class Book(Connection):
    """The nights of all reports."""

    def since(self, name: str, first: datetime) -> datetime:
        """From when on the report owes its nights: `first`, if it was never seen before."""
        with self._reaching():
            self._redis.hsetnx(self._keys.reports, name, first.isoformat())
        return self.first_seen(name) or first

    def first_seen(self, name: str) -> datetime | None:
        """What `since` has stored for the report; None before its first call, or if it is damaged. Writes nothing."""
        with self._reaching():
            stored = cast(str | None, self._redis.hget(self._keys.reports, name))
        try:
            first = datetime.fromisoformat(stored) if stored else None
            return first.replace(tzinfo=first.tzinfo or UTC) if first else None
        except ValueError:
            leave_out(f"the first moment of report {name}", "", "no moment")
            return None

    def names(self) -> list[str]:
        """Of the reports with nights."""
        with self._reaching():
            return sorted(cast(list[str], self._redis.hkeys(self._keys.reports)))

    def nights(self, name: str) -> list[Night]:
        """Those that can be read, the latest first."""
        with self._reaching():
            entries = cast(dict[str, str], self._redis.hgetall(self._keys.report(name)))
        nights = [_read(name, night, entry) for night, entry in entries.items()]
        return sorted(filter(None, nights), key=lambda each: each.night, reverse=True)

    def get(self, name: str, night: date) -> Night | None:
        """Raises UnreadableNight."""
        with self._reaching():
            entry = cast(str | None, self._redis.hget(self._keys.report(name), str(night)))
        if not entry:
            return None
        if (one := _read(name, str(night), entry)) is None:
            raise UnreadableNight(name, night)
        return one

    def forget(self, name: str, night: date) -> None:
        with self._reaching():
            self._redis.hdel(self._keys.report(name), str(night))

    def holder(self, name: str, night: date) -> str | None:
        """Who makes the night now: host and process."""
        with self._reaching():
            owner = cast(str | None, self._redis.get(self._keys.report_held(name, str(night))))
        return owner.rpartition(":")[0] if owner else None

    def claim(self, name: str, night: date) -> Lease | None:
        """The lease of the night, for its only maker; None while somebody else is that."""
        key, lease_s = self._keys.report_held(name, str(night)), self._settings.lease_s
        lease = Lease(self._redis, key, lease_s, self._reaching, f"{name}, night of {night}")
        return lease if lease.take(f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex}") else None

    def save(self, night: Night, lease: Lease) -> None:
        """Raises LeaseLost, and then nothing was saved."""
        lease.write(self._keys.report(night.report), str(night.night), night.model_dump_json())


def _read(name: str, night: str, entry: str) -> Night | None:
    return read(Night, entry, f"the night of {night} of report {name}")
