"""Produces nights under a lease: builds the report, publishes and delivers it, and deletes old nights.

Each night is produced once, however many commands, cron jobs and schedulers call this.
"""

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from threadmill.batch.progress import BatchProgress
from threadmill.client import Client
from threadmill.errors import StoreUnavailable, ThreadmillError
from threadmill.reports import publish
from threadmill.reports.builder import ReportBuilder, Watch
from threadmill.reports.definition import ReportDefinition
from threadmill.reports.delivery import Notification, deliver
from threadmill.reports.files import load, written_at
from threadmill.reports.inputs import NoDocuments
from threadmill.reports.report_run import ReportRun, ReportState
from threadmill.reports.store import ReportStore, UnreadableReport
from threadmill.store.lease import Lease, LeaseLost

#: A night fails after this many processes have died while they produced it.
_MAX_ATTEMPTS = 5

#: The interval of checks while another process produces the night.
_RETRY_EVERY_S = 0.5


class Stopped(ThreadmillError):
    """The caller has stopped the production. The night is handed back, and the next call resumes it."""


#: Exceptions that stop a production and do not count as an attempt.
_HANDS_BACK = (KeyboardInterrupt, Stopped)


@dataclass(frozen=True)
class ReportProblem:
    """A report that could not be started."""

    report: str
    reason: str


def _ignore(step: str, progress: BatchProgress) -> None:
    pass


class ReportRunner:
    """Produces reports. `check` is called about once a second, and can raise to stop.

    `delivers`: whether published reports are also sent through their channels.
    """

    def __init__(
        self,
        client: Client,
        watch: Watch = _ignore,
        check: Callable[[], None] = lambda: None,
        *,
        delivers: bool = True,
    ) -> None:
        self._client = client
        self._root = client.settings.reports
        self._watch = watch
        self._check = check
        self._delivers = delivers
        self.store = ReportStore(client.settings)

    def run_due(self, now: datetime, reports: Iterable[str]) -> list[ReportRun | ReportProblem]:
        """Produces the due nights of these reports that no other process produces. Returns the results."""
        results: list[ReportRun | ReportProblem] = []
        for name in reports:
            try:
                definition = load(self._root, name)
                self._client.check(definition.probe)
                for night in self.due(definition, now):
                    if (produced := self._try(definition, night)) is not None:
                        results.append(produced)
            except (Stopped, StoreUnavailable):
                raise
            except ThreadmillError as error:
                results.append(ReportProblem(name, str(error)))
        return results

    def due(self, definition: ReportDefinition, now: datetime, *, dry_run: bool = False) -> list[date]:
        """Returns the due nights, oldest first. `dry_run`: writes nothing to Redis."""
        if definition.clock is None:
            return []
        since = self._first_due(definition, now) if dry_run else self._since(definition, now)
        over = {night.night for night in self.store.nights(definition.name) if night.is_over}
        return [fire.night for fire in definition.clock.due(now, since, definition.catch_up, over)]

    def _since(self, definition: ReportDefinition, now: datetime) -> datetime:
        return self.store.since(definition.name, self._first(definition, now))

    def _first_due(self, definition: ReportDefinition, now: datetime) -> datetime:
        """Returns what `_since` would return, without storing it."""
        return self.store.first_seen(definition.name) or self._first(definition, now)

    def _first(self, definition: ReportDefinition, now: datetime) -> datetime:
        return min(now, written_at(self._root, definition.name))

    def run(
        self, definition: ReportDefinition, night: date, *, again: bool = False, waiting: Callable[[str], None]
    ) -> ReportRun:
        """Produces a night; a published one is returned unless `again`.

        Waits while another process produces it, and calls `waiting` with the name of that process.
        """
        self._since(definition, datetime.now(UTC))
        has_reported = False
        while True:
            lease = self.store.claim(definition.name, night)
            if lease is not None:
                with lease, suppress(LeaseLost):  # another process has it: wait for it
                    previous = self._previous(definition, night, again)
                    if previous is not None and self._is_done(previous) and not again:
                        return previous
                    return self._produce(lease, definition, night, previous, again=again)
            holder = self.store.holder(definition.name, night)
            if holder and not has_reported:
                has_reported = True
                waiting(holder)
            self._check()
            time.sleep(_RETRY_EVERY_S)

    def _previous(self, definition: ReportDefinition, night: date, again: bool) -> ReportRun | None:
        try:
            return self.store.get(definition.name, night)
        except UnreadableReport:
            if not again:
                raise
            return None

    def _is_done(self, night: ReportRun) -> bool:
        return night.state is ReportState.PUBLISHED and night.ok and not (night.withheld and self._delivers)

    def _try(self, definition: ReportDefinition, night: date) -> ReportRun | None:
        """Produces a night. Returns None if another process does or did, or if the stored night is unreadable."""
        lease = self.store.claim(definition.name, night)
        if lease is None:
            return None
        with lease, suppress(LeaseLost, UnreadableReport):
            previous = self.store.get(definition.name, night)
            if previous is None or not previous.is_over:
                return self._produce(lease, definition, night, previous)
        return None

    def _produce(
        self,
        lease: Lease,
        definition: ReportDefinition,
        night: date,
        previous: ReportRun | None,
        *,
        again: bool = False,
    ) -> ReportRun:
        now = datetime.now(UTC)
        current = (
            previous.begun(now, again) if previous else ReportRun(report=definition.name, night=night, begun_at=now)
        )
        self.store.save(current, lease)
        try:
            current = self._build_and_publish(lease, definition, current)
        except _HANDS_BACK:
            with suppress(LeaseLost, StoreUnavailable):
                current = self.store.get(current.report, current.night) or current
                self.store.save(current.model_copy(update={"attempts": current.attempts - 1}), lease)
            raise
        except (LeaseLost, StoreUnavailable):
            raise
        except (ThreadmillError, OSError) as error:  # such as a folder that cannot be written
            is_skipped = isinstance(error, NoDocuments) and definition.when_empty == "skip"
            state = ReportState.SKIPPED if is_skipped else ReportState.FAILED
            changes = {"state": state, "error": _reason(error), "ended_at": datetime.now(UTC)}
            current = current.model_copy(update=changes)
            self.store.save(current, lease)
            if not is_skipped:
                notification = publish.failure_notice(definition, current)
                current = self._deliver(lease, definition, current, notification)
        self._remove_old(definition)
        return current

    def _build_and_publish(self, lease: Lease, definition: ReportDefinition, current: ReportRun) -> ReportRun:
        """Builds, publishes and delivers the report, without repeating what an earlier attempt did."""
        if current.attempts > _MAX_ATTEMPTS:
            raise ThreadmillError(
                f"{current.attempts - 1} processes died while they produced it; see their logs. "
                f"To try again: threadmill report run {current.report} --date {current.night}"
            )

        def check() -> None:
            lease.check()
            self._check()

        folder = publish.state_folder(self._root, current)
        report = publish.load_report(folder)
        if report is None:
            night, label, watch = current.night, current.label, self._watch
            builder = ReportBuilder(
                self._client, definition, night, folder=folder, label=label, watch=watch, check=check
            )
            report = publish.save_report(folder, builder.build(current.begun_at))
        lease.ensure()
        files, link = publish.publish(report, definition, self._root)
        current = current.model_copy(
            update={
                "files": files,
                "link": link,
                "documents": len(report.sections),
                "failed_documents": len(report.failed),
                "usage": report.usage,
                "cost": report.cost,
                "currency": report.currency,
            }
        )
        self.store.save(current, lease)
        check()
        notification = publish.report_notification(report, definition, current)
        current = self._deliver(lease, definition, current, notification)
        current = current.model_copy(update={"state": ReportState.PUBLISHED, "ended_at": datetime.now(UTC)})
        self.store.save(current, lease)
        return current

    def _deliver(
        self, lease: Lease, definition: ReportDefinition, current: ReportRun, notification: Notification
    ) -> ReportRun:
        """Sends the notification through the remaining channels. A crash repeats at most one delivery."""
        current = current.model_copy(update={"withheld": not self._delivers and bool(definition.delivery.channels)})
        self.store.save(current, lease)
        for name, channel in definition.delivery.channels.items() if self._delivers else ():
            if name not in current.deliveries:
                lease.ensure()
                why = deliver(channel, notification)
                current = current.model_copy(update={"deliveries": {**current.deliveries, name: why}})
                self.store.save(current, lease)
        return current

    def _remove_old(self, definition: ReportDefinition) -> None:
        """Deletes nights older than `keep_days`, except those that would become due without their record."""
        now = datetime.now(UTC)
        before = now - timedelta(days=definition.keep_days)
        clock, always = definition.clock, datetime.min.replace(tzinfo=UTC)
        owed = {fire.night for fire in clock.owed(now, always, definition.catch_up)} if clock else set()
        for night in self.store.nights(definition.name):
            if night.is_over and night.ended_at and night.ended_at < before and night.night not in owed:
                with suppress(OSError):  # retried with the next night
                    publish.remove(night, self._root)
                    self.store.forget(definition.name, night.night)


def _reason(error: ThreadmillError | OSError) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)
