"""Reads reports and their nights for the pages. Its functions block: they read files and Redis."""

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import takewhile

from threadmill.client import Client
from threadmill.errors import BatchNotFound, InvalidReport
from threadmill.reports.definitions import files as definitions
from threadmill.reports.definitions.definition import ReportDefinition
from threadmill.reports.definitions.schedule import Fire
from threadmill.reports.report_run import ReportRun
from threadmill.reports.runner import ReportRunner
from threadmill.store.records.batch import BatchRecord
from threadmill_gateway.dashboard.reports.calendar import Month, Night, NightState, state_of, weeks_of

#: Reports that the list shows; a folder with more is read no further.
_LISTED = 200

#: Nights beside the name of a report in the list.
_LATEST = 7

#: A month has no more scheduled nights, with those that its edges may have.
_FIRES = 40


@dataclass(frozen=True)
class Overview:
    """A report in the list. `problem`: why its definition cannot be used."""

    name: str
    definition: ReportDefinition | None = None
    problem: str | None = None
    latest: tuple[Night, ...] = ()  #: the latest night first
    next: Fire | None = None
    due: tuple[date, ...] = ()


@dataclass(frozen=True)
class MonthOf:
    """A month of a report."""

    month: Month
    weeks: list[list[Night | None]]
    next: Fire | None
    due: tuple[date, ...]
    kept: int  #: nights that are kept, of all months


def overviews(client: Client) -> list[Overview]:
    """Returns the reports by name, at most 200."""
    return [_overview(client, name) for name in definitions.names(client.settings.reports)[:_LISTED]]


def _overview(client: Client, name: str) -> Overview:
    try:
        definition = definitions.load(client.settings.reports, name)
    except InvalidReport as error:
        return Overview(name, problem=str(error))
    now, runner = datetime.now(UTC), ReportRunner(client)
    with closing(runner.store) as store:
        runs = store.runs(name)[:_LATEST]
        latest = tuple(Night(run.night, state_of(run), run) for run in runs)
        due = tuple(runner.due(definition, now, dry_run=True))
    return Overview(name, definition, latest=latest, next=_next(definition, now), due=due)


def month_of(client: Client, definition: ReportDefinition, asked: Month | None) -> MonthOf:
    """Returns a month of a report: the one that was `asked` for, or the one of its latest night."""
    now, runner = datetime.now(UTC), ReportRunner(client)
    month = asked or Month.of(definition.latest_night(now))
    with closing(runner.store) as store:
        runs = store.runs(definition.name)
        due = tuple(runner.due(definition, now, dry_run=True))
        written = definitions.written_at(client.settings.reports, definition.name)
        since = store.first_seen(definition.name) or written
    weeks = weeks_of(month, runs, _fires(definition, month), due, now, since)
    return MonthOf(month, weeks, _next(definition, now), due, len(runs))


def night_of(client: Client, definition: ReportDefinition, night: date) -> tuple[ReportRun | None, str | None]:
    """Returns a night, and the host and process that produce it now. Raises UnreadableReport."""
    with closing(ReportRunner(client).store) as store:
        run = store.get(definition.name, night)
        return run, store.holder(definition.name, night) if run and not run.is_over else None


def batches_of(client: Client, run: ReportRun) -> Iterator[BatchRecord]:
    """Yields the batches of a night that are kept: its answers, and the first of its summaries."""
    for step in ("map", "reduce-1"):
        try:
            yield client.batch(f"report.{run.label}.{step}")
        except BatchNotFound:
            continue


def shown_state(run: ReportRun | None) -> NightState | None:
    return state_of(run) if run else None


def _next(definition: ReportDefinition, now: datetime) -> Fire | None:
    return next(iter(definition.clock.next_fires(now, 1)), None) if definition.clock else None


def _fires(definition: ReportDefinition, month: Month) -> Mapping[date, datetime]:
    """Returns when the nights of a month are scheduled."""
    if definition.clock is None:
        return {}
    start = datetime.combine(month.first - timedelta(days=2), time(), definition.zone)
    until = month.last + timedelta(days=2)
    fires = takewhile(lambda fire: fire.night <= until, definition.clock.next_fires(start, _FIRES))
    return {fire.night: fire.at for fire in fires}
