"""Sees nights through: claimed by one process, made, published, delivered, and removed when they are too old.

What calls it, and how often, does not matter: a command, a cron job, any number of schedulers.
"""

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from threadmill.batch.tally import BatchProgress
from threadmill.client import Client
from threadmill.errors import StoreUnavailable, ThreadmillError
from threadmill.lease import Lease, LeaseLost
from threadmill.processes import ProcessEnded
from threadmill.reports import publish
from threadmill.reports.book import Book, UnreadableNight
from threadmill.reports.definition import ReportDefinition
from threadmill.reports.delivery import Parcel, deliver
from threadmill.reports.files import load, written_at
from threadmill.reports.make import Maker, Watch
from threadmill.reports.material import NoDocuments
from threadmill.reports.night import Night, NightState

#: A night whose makers died so often is failed.
_MAX_ATTEMPTS = 5

#: Between two looks at a night that another process makes.
_LOOK_S = 0.5


class Stopped(ThreadmillError):
    """By the wish of who called: the night is handed back, and goes on with the next call."""


#: What stops the making of a night, and is no fault of the night.
_HANDS_BACK = (KeyboardInterrupt, Stopped, ProcessEnded)


@dataclass(frozen=True)
class Problem:
    """A report of which no night could be begun."""

    report: str
    reason: str


def _say_nothing(step: str, progress: BatchProgress) -> None:
    pass


class Nightly:
    """`check`: called about once a second while a night is made; what it raises ends that.

    `delivers`: whether a published report is also sent through its channels.
    """

    def __init__(
        self,
        client: Client,
        watch: Watch = _say_nothing,
        check: Callable[[], None] = lambda: None,
        *,
        delivers: bool = True,
    ) -> None:
        self._client = client
        self._root = client.settings.reports
        self._watch = watch
        self._check = check
        self._delivers = delivers
        self.book = Book(client.settings)

    def make_due(self, now: datetime, reports: Iterable[str]) -> list[Night | Problem]:
        """Makes what is due of these reports, and nobody else is making; gives what came of it."""
        made: list[Night | Problem] = []
        for name in reports:
            try:
                definition = load(self._root, name)
                self._client.check(definition.probe)
                for night in self.due(definition, now):
                    if (one := self._try(definition, night)) is not None:
                        made.append(one)
            except (Stopped, StoreUnavailable, ProcessEnded):
                raise
            except ThreadmillError as error:
                made.append(Problem(name, str(error)))
        return made

    def due(self, definition: ReportDefinition, now: datetime, *, dry_run: bool = False) -> list[date]:
        """The nights that are due and not finished, oldest first. `dry_run`: writes nothing to Redis."""
        if definition.clock is None:
            return []
        since = self._first_due(definition, now) if dry_run else self._since(definition, now)
        over = {night.night for night in self.book.nights(definition.name) if night.is_over}
        return [fire.night for fire in definition.clock.due(now, since, definition.catch_up, over)]

    def _since(self, definition: ReportDefinition, now: datetime) -> datetime:
        return self.book.since(definition.name, self._first(definition, now))

    def _first_due(self, definition: ReportDefinition, now: datetime) -> datetime:
        """What `_since` would return, without storing it."""
        return self.book.first_seen(definition.name) or self._first(definition, now)

    def _first(self, definition: ReportDefinition, now: datetime) -> datetime:
        return min(now, written_at(self._root, definition.name))

    def make(
        self, definition: ReportDefinition, night: date, *, again: bool = False, waiting: Callable[[str], None]
    ) -> Night:
        """One night, whatever came of it before, unless that was good; `again`: then too.

        While another process makes it, waits for that one's end; `waiting` is told who it is.
        """
        self._since(definition, datetime.now(UTC))
        told = False
        while True:
            held = self.book.claim(definition.name, night)
            if held is not None:
                with held, suppress(LeaseLost):  # then another process makes it: we wait
                    before = self._before(definition, night, again)
                    if before is not None and self._is_done(before) and not again:
                        return before
                    return self._see_through(held, definition, night, before, again=again)
            holder = self.book.holder(definition.name, night)
            if holder and not told:
                told = True
                waiting(holder)
            self._check()
            time.sleep(_LOOK_S)

    def _before(self, definition: ReportDefinition, night: date, again: bool) -> Night | None:
        try:
            return self.book.get(definition.name, night)
        except UnreadableNight:
            if not again:
                raise
            return None

    def _is_done(self, night: Night) -> bool:
        return night.state is NightState.PUBLISHED and night.ok and not (night.withheld and self._delivers)

    def _try(self, definition: ReportDefinition, night: date) -> Night | None:
        """None if another process makes it or has made it, or if what is stored about it cannot be read."""
        held = self.book.claim(definition.name, night)
        if held is None:
            return None
        with held, suppress(LeaseLost, UnreadableNight):
            before = self.book.get(definition.name, night)
            if before is None or not before.is_over:
                return self._see_through(held, definition, night, before)
        return None

    def _see_through(
        self, held: Lease, definition: ReportDefinition, night: date, before: Night | None, *, again: bool = False
    ) -> Night:
        now = datetime.now(UTC)
        one = before.begun(now, again) if before else Night(report=definition.name, night=night, begun_at=now)
        self.book.save(one, held)
        try:
            one = self._made(held, definition, one)
        except _HANDS_BACK:
            with suppress(LeaseLost, StoreUnavailable):
                one = self.book.get(one.report, one.night) or one
                self.book.save(one.model_copy(update={"attempts": one.attempts - 1}), held)
            raise
        except (LeaseLost, StoreUnavailable):
            raise
        except (ThreadmillError, OSError) as error:  # a folder that cannot be written, for one
            is_skipped = isinstance(error, NoDocuments) and definition.when_empty == "skip"
            state = NightState.SKIPPED if is_skipped else NightState.FAILED
            one = one.model_copy(update={"state": state, "error": _reason(error), "ended_at": datetime.now(UTC)})
            self.book.save(one, held)
            if not is_skipped:
                one = self._delivered(held, definition, one, publish.bad_news(definition, one))
        self._remove_old(definition)
        return one

    def _made(self, held: Lease, definition: ReportDefinition, one: Night) -> Night:
        """Published and delivered; what was done by an earlier attempt is not repeated."""
        if one.attempts > _MAX_ATTEMPTS:
            raise ThreadmillError(
                f"{one.attempts - 1} processes died while they made it; the last traces are in the logs. "
                f"To try again: threadmill report run {one.report} --date {one.night}"
            )

        def check() -> None:
            held.check()
            self._check()

        folder = publish.state_folder(self._root, one)
        report = publish.kept(folder)
        if report is None:
            maker = Maker(
                self._client, definition, one.night, folder=folder, label=one.label, watch=self._watch, check=check
            )
            report = publish.keep(folder, maker.make(one.begun_at))
        held.ensure()
        files, link = publish.publish(report, definition, self._root)
        one = one.model_copy(
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
        self.book.save(one, held)
        check()
        one = self._delivered(held, definition, one, publish.parcel(report, definition, one))
        one = one.model_copy(update={"state": NightState.PUBLISHED, "ended_at": datetime.now(UTC)})
        self.book.save(one, held)
        return one

    def _delivered(self, held: Lease, definition: ReportDefinition, one: Night, parcel: Parcel) -> Night:
        """Through each channel that has not had it; saved after each, so that a crash repeats one at most."""
        one = one.model_copy(update={"withheld": not self._delivers and bool(definition.delivery.channels)})
        self.book.save(one, held)
        for name, channel in definition.delivery.channels.items() if self._delivers else ():
            if name not in one.deliveries:
                held.ensure()
                why = deliver(channel, parcel)
                one = one.model_copy(update={"deliveries": {**one.deliveries, name: why}})
                self.book.save(one, held)
        return one

    def _remove_old(self, definition: ReportDefinition) -> None:
        """Nights made too long ago, but those that would be owed if nothing were known of them."""
        now = datetime.now(UTC)
        before = now - timedelta(days=definition.keep_days)
        clock, always = definition.clock, datetime.min.replace(tzinfo=UTC)
        owed = {fire.night for fire in clock.owed(now, always, definition.catch_up)} if clock else set()
        for night in self.book.nights(definition.name):
            if night.is_over and night.ended_at and night.ended_at < before and night.night not in owed:
                with suppress(OSError):  # the next night tries again
                    publish.remove(night, self._root)
                    self.book.forget(definition.name, night.night)


def _reason(error: ThreadmillError | OSError) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)
