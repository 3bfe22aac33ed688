"""What Redis knows of nights, and who may change it: one holder of a lease makes a night, whoever calls."""

import os
import socket
import threading
import time
import uuid
from contextlib import suppress
from datetime import UTC, date, datetime
from types import TracebackType
from typing import Self, cast

from redis.commands.core import Script

from threadmill import report_scripts
from threadmill.connection import Connection
from threadmill.errors import StoreUnavailable, ThreadmillError
from threadmill.reports.night import Night
from threadmill.settings import Settings
from threadmill.stored import leave_out, read


class LeaseLost(ThreadmillError):
    """Another process may make the night by now: this one must not."""


class UnreadableNight(ThreadmillError):
    """What Redis holds of the night is damaged, or a newer version wrote it: nobody knows what was published."""

    def __init__(self, name: str, night: date) -> None:
        super().__init__(
            f"{name}, night of {night}: what is stored about it is damaged or was written by a newer version; "
            f"to produce it anew: threadmill report run {name} --date {night} --again"
        )


class Book(Connection):
    """The nights of all reports."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._lease_ms = int(settings.lease_s * 1000)
        self._renew = self._redis.register_script(report_scripts.RENEW_NIGHT)
        self._save = self._redis.register_script(report_scripts.SAVE_NIGHT)
        self._release = self._redis.register_script(report_scripts.RELEASE_NIGHT)

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

    def claim(self, name: str, night: date) -> "Held | None":
        """The night to its only maker; None while somebody else is that."""
        owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex}"
        with self._reaching():
            got = self._redis.set(self._keys.report_held(name, str(night)), owner, nx=True, px=self._lease_ms)
        return Held(self, name, night, owner) if got else None

    def renew(self, name: str, night: date, owner: str) -> bool:
        return self._step(self._renew, [self._keys.report_held(name, str(night))], owner, self._lease_ms)

    def save(self, night: Night, owner: str) -> bool:
        keys = [self._keys.report_held(night.report, str(night.night)), self._keys.report(night.report)]
        return self._step(self._save, keys, owner, str(night.night), night.model_dump_json())

    def release(self, name: str, night: date, owner: str) -> None:
        self._step(self._release, [self._keys.report_held(name, str(night))], owner)

    def _step(self, script: Script, keys: list[str], *arguments: str | int) -> bool:
        with self._reaching():
            return bool(script(keys=keys, args=arguments))

    @property
    def lease_s(self) -> float:
        return self._lease_ms / 1000


def _read(name: str, night: str, entry: str) -> Night | None:
    return read(Night, entry, f"the night of {night} of report {name}")


class Held:
    """A claimed night. Inside the context a thread renews the lease; at its end the night is free again."""

    def __init__(self, book: Book, name: str, night: date, owner: str) -> None:
        self._book = book
        self._place = (name, night)
        self._owner = owner
        self._is_lost = False
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._keep_renewing, name=f"lease-{name}-{night}", daemon=True)

    def check(self) -> None:
        """Raises LeaseLost; takes no time."""
        if self._is_lost:
            raise LeaseLost("{}, night of {}: its lease lapsed, another process may make it now".format(*self._place))

    def ensure(self) -> None:
        """Raises LeaseLost if it is not ours in Redis."""
        self._is_lost |= not self._book.renew(*self._place, self._owner)
        self.check()

    def save(self, night: Night) -> None:
        """Raises LeaseLost, and then nothing was saved."""
        self._is_lost |= not self._book.save(night, self._owner)
        self.check()

    def _keep_renewing(self) -> None:
        lapses_at = time.monotonic() + self._book.lease_s
        while not self._left.wait(self._book.lease_s / 3):
            renewing_at = time.monotonic()
            try:
                self._is_lost |= not self._book.renew(*self._place, self._owner)
                lapses_at = renewing_at + self._book.lease_s
            except StoreUnavailable:  # it may be back before the lease lapses
                self._is_lost |= time.monotonic() > lapses_at

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left.set()
        with suppress(StoreUnavailable):  # then it lapses
            self._book.release(*self._place, self._owner)
        self._thread.join(self._book.lease_s)
