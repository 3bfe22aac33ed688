"""Stores the runs of reports in Redis, and the lease that lets one process produce a night."""

import os
import socket
import uuid
from datetime import UTC, date, datetime
from typing import cast

from threadmill.errors import ThreadmillError
from threadmill.reports.report_run import ReportRun
from threadmill.store.connection import Connection
from threadmill.store.lease import Lease
from threadmill.stored import leave_out, read


class UnreadableReport(ThreadmillError):
    """The run in Redis is damaged or was written by a newer version, so it is not known what was published."""

    def __init__(self, name: str, night: date) -> None:
        super().__init__(
            f"{name}, night of {night}: what is stored about it is damaged or was written by a newer version; "
            f"to produce it again: threadmill report run {name} --date {night} --again"
        )


class ReportStore(Connection):
    """The runs of all reports."""

    def since(self, name: str, first: datetime) -> datetime:
        """Returns the time since when nights of the report are due. Stores `first` if there is none yet."""
        with self._translate_errors():
            self._redis.hsetnx(self._keys.reports, name, first.isoformat())
        return self.first_seen(name) or first

    def first_seen(self, name: str) -> datetime | None:
        """Returns the time that `since` stored; None if it is missing or damaged. Writes nothing."""
        with self._translate_errors():
            stored = cast(str | None, self._redis.hget(self._keys.reports, name))
        try:
            first = datetime.fromisoformat(stored) if stored else None
            return first.replace(tzinfo=first.tzinfo or UTC) if first else None
        except ValueError:
            leave_out(f"the first moment of report {name}", "", "not a time")
            return None

    def names(self) -> list[str]:
        """Returns the names of the reports that have been scheduled or produced."""
        with self._translate_errors():
            return sorted(cast(list[str], self._redis.hkeys(self._keys.reports)))

    def runs(self, name: str) -> list[ReportRun]:
        """Returns the runs that can be read, the latest night first."""
        with self._translate_errors():
            entries = cast(dict[str, str], self._redis.hgetall(self._keys.report(name)))
        runs = [_read(name, night, entry) for night, entry in entries.items()]
        return sorted(filter(None, runs), key=lambda run: run.night, reverse=True)

    def get(self, name: str, night: date) -> ReportRun | None:
        """Returns the run, None if the night was never produced. Raises UnreadableReport."""
        with self._translate_errors():
            entry = cast(str | None, self._redis.hget(self._keys.report(name), str(night)))
        if not entry:
            return None
        if (found := _read(name, str(night), entry)) is None:
            raise UnreadableReport(name, night)
        return found

    def forget(self, name: str, night: date) -> None:
        with self._translate_errors():
            self._redis.hdel(self._keys.report(name), str(night))

    def holder(self, name: str, night: date) -> str | None:
        """Returns the host and the process that produce the night now, or None."""
        with self._translate_errors():
            owner = cast(str | None, self._redis.get(self._keys.report_held(name, str(night))))
        return owner.rpartition(":")[0] if owner else None

    def claim(self, name: str, night: date) -> Lease | None:
        """Takes the lease of the night. Returns None while another process has it."""
        key, lease_s = self._keys.report_held(name, str(night)), self._settings.lease_s
        lease = Lease(self._redis, key, lease_s, self._translate_errors, f"{name}, night of {night}")
        return lease if lease.take(f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex}") else None

    def save(self, run: ReportRun, lease: Lease) -> None:
        """Raises LeaseLost, and then nothing was saved."""
        lease.write(self._keys.report(run.report), str(run.night), run.model_dump_json())


def _read(name: str, night: str, entry: str) -> ReportRun | None:
    return read(ReportRun, entry, f"the night of {night} of report {name}")
