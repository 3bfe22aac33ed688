"""Runs reports: those that are due, or one night. Deletes old nights.

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
from threadmill.reports.builder import Watch
from threadmill.reports.definitions.definition import ReportDefinition
from threadmill.reports.definitions.files import load, written_at
from threadmill.reports.production import Production, Stopped
from threadmill.reports.report_run import ReportRun, ReportState
from threadmill.reports.store import ReportStore, UnreadableReport
from threadmill.store.lease import Lease, LeaseLost

#: The interval of checks while another process produces the night.
_RETRY_EVERY_S = 0.5


@dataclass(frozen=True)
class ReportProblem:
    """A report that could not be started."""

    report: str
    reason: str


def _ignore(step: str, progress: BatchProgress) -> None:
    """Shows no progress."""


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
        self.store = ReportStore(client.settings)
        self._client = client
        self._root = client.settings.reports
        self._watch = watch
        self._check = check
        self._delivers = delivers

    def run_due(self, now: datetime, reports: Iterable[str]) -> list[ReportRun | ReportProblem]:
        """Produces the due nights of these reports that no other process produces. Returns the results."""
        results: list[ReportRun | ReportProblem] = []
        for name in reports:
            try:
                definition = load(self._root, name)
                self._client.check(definition.probe)
                for night in self.due(definition, now):
                    if (run := self._run_if_free(definition, night)) is not None:
                        results.append(run)
            except (Stopped, StoreUnavailable):
                raise
            except ThreadmillError as error:
                results.append(ReportProblem(name, str(error)))
        return results

    def due(self, definition: ReportDefinition, now: datetime, *, dry_run: bool = False) -> list[date]:
        """Returns the due nights, oldest first. `dry_run`: writes nothing to Redis."""
        if definition.clock is None:
            return []
        written = min(now, written_at(self._root, definition.name))
        name = definition.name
        since = self.store.first_seen(name) or written if dry_run else self.store.since(name, written)
        over = {run.night for run in self.store.runs(name) if run.is_over}
        return [fire.night for fire in definition.clock.due(now, since, definition.catch_up, over)]

    def run(
        self, definition: ReportDefinition, night: date, *, again: bool = False, waiting: Callable[[str], None]
    ) -> ReportRun:
        """Produces a night; a published one is returned unless `again`.

        Waits while another process produces it, and calls `waiting` with the name of that process.
        """
        self.store.since(definition.name, min(datetime.now(UTC), written_at(self._root, definition.name)))
        has_reported = False
        while True:
            if lease := self.store.claim(definition.name, night):
                with lease, suppress(LeaseLost):  # another process produces the night
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

    def _run_if_free(self, definition: ReportDefinition, night: date) -> ReportRun | None:
        """Produces a night. Returns None if another process does or did, or if what is stored is unreadable."""
        lease = self.store.claim(definition.name, night)
        if lease is None:
            return None
        with lease, suppress(LeaseLost, UnreadableReport):
            previous = self.store.get(definition.name, night)
            if previous is None or not previous.is_over:
                return self._produce(lease, definition, night, previous)
        return None

    def _previous(self, definition: ReportDefinition, night: date, again: bool) -> ReportRun | None:
        try:
            return self.store.get(definition.name, night)
        except UnreadableReport:
            if not again:
                raise
            return None

    def _is_done(self, run: ReportRun) -> bool:
        return run.state is ReportState.PUBLISHED and run.ok and not (run.withheld and self._delivers)

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
        first = ReportRun(report=definition.name, night=night, begun_at=now)
        production = Production(
            self._client,
            definition,
            previous.begun(now, again) if previous else first,
            lease,
            store=self.store,
            root=self._root,
            watch=self._watch,
            check=self._check,
            delivers=self._delivers,
        )
        run = production.produce()
        self._remove_old(definition)
        return run

    def _remove_old(self, definition: ReportDefinition) -> None:
        """Deletes nights older than `keep_days`, except those that would become due without their record."""
        now = datetime.now(UTC)
        before = now - timedelta(days=definition.keep_days)
        clock, always = definition.clock, datetime.min.replace(tzinfo=UTC)
        owed = {fire.night for fire in clock.owed(now, always, definition.catch_up)} if clock else set()
        for run in self.store.runs(definition.name):
            if run.is_over and run.ended_at and run.ended_at < before and run.night not in owed:
                with suppress(OSError):  # retried with the next night
                    publish.remove(run, self._root)
                    self.store.forget(definition.name, run.night)
