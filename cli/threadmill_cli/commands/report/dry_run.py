"""`threadmill report run --dry-run` and `due --dry-run`: shows which reports would be produced, and their cost.

Asks nothing, delivers nothing, and writes neither to Redis nor to a file.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, TypeVar

from threadmill.client import Client
from threadmill.errors import StoreUnavailable, ThreadmillError
from threadmill.reports.definitions.definition import ReportDefinition
from threadmill.reports.definitions.files import load
from threadmill.reports.inputs import NoDocuments, documents_of, map_template, reduce_template
from threadmill.reports.publish import page_of
from threadmill.reports.runner import ReportProblem, ReportRunner
from threadmill_cli.app import note, write_json, write_line
from threadmill_cli.commands.batch.dry_run import Forecast, forecast, write_forecast

_Made = TypeVar("_Made")


@dataclass
class ReportPreview:
    """A report that would be produced for one night."""

    definition: ReportDefinition
    night: date
    page: str
    deliveries: dict[str, str]  #: the target of each channel; empty with --no-deliver
    forecast: Forecast | None = None  #: None if no prompt can be built
    problem: str | None = None  #: why it would fail, or be skipped
    prompts: list[tuple[str, str]] = field(default_factory=list)  #: label of the document and text, of the first ones
    is_skipped: bool = False  #: there are no documents, and `when_empty` is "skip"

    @property
    def ok(self) -> bool:
        return self.problem is None or self.is_skipped


def preview(client: Client, definition: ReportDefinition, night: date, *, delivers: bool) -> ReportPreview:
    """Reads the documents of the night and renders their prompts."""
    channels = definition.delivery.channels if delivers else {}
    made = ReportPreview(
        definition,
        night,
        str(page_of(definition, client.settings.reports, night).absolute()),
        {name: channel.target for name, channel in channels.items()},
    )
    try:
        documents = documents_of(definition, night)
        template = map_template(definition, night, documents)
        reduce_template(definition, night)
    except ThreadmillError as error:
        made.problem = str(error)
        made.is_skipped = isinstance(error, NoDocuments) and definition.when_empty == "skip"
        return made
    fields = definition.job_fields(definition.map)
    made.forecast = forecast(client, documents, template, fields, lambda *prompt: made.prompts.append(prompt))
    unreadable, total = len(made.forecast.unreadable), made.forecast.documents
    if not definition.may_publish(unreadable, total):
        made.problem = (
            f"{unreadable} of {total} documents are unreadable, and publish_if_failed_at_most is "
            f"{definition.publish_if_failed_at_most}"
        )
    return made


def preview_due(
    client: Client, now: datetime, reports: Iterable[str], *, delivers: bool
) -> list[ReportPreview | ReportProblem]:
    """Previews every report that is due at `now`."""
    runner = ReportRunner(client)
    made: list[ReportPreview | ReportProblem] = []
    for name in reports:
        try:
            definition = load(client.settings.reports, name)
            client.check(definition.probe)
            made += [
                preview(client, definition, night, delivers=delivers)
                for night in runner.due(definition, now, dry_run=True)
            ]
        except StoreUnavailable:
            raise
        except ThreadmillError as error:
            made.append(ReportProblem(name, str(error)))
    return made


def write_all(
    made: Sequence[_Made | ReportProblem],
    as_json: bool,
    put_one: Callable[[_Made], None],
    json_of: Callable[[_Made], dict[str, Any]],
) -> None:
    """Writes the outcome of each night, as text or in one JSON array, and problems also as notes."""
    if as_json:
        write_json(
            [
                {"report": each.report, "problem": each.reason} if isinstance(each, ReportProblem) else json_of(each)
                for each in made
            ]
        )
    for each in made:
        if isinstance(each, ReportProblem):
            note(f"{each.report}: {each.reason}")
        elif not as_json:
            put_one(each)


def show_previews(made: list[ReportPreview | ReportProblem], as_json: bool) -> bool:
    """Shows which reports would be produced; returns whether all can be."""
    write_all(made, as_json, _write, _as_json)
    if not made:
        note("No report is due.")
    note("Nothing was asked, delivered or written (--dry-run).")
    return all(isinstance(each, ReportPreview) and each.ok for each in made)


def _write(made: ReportPreview) -> None:
    write_line(f"{made.definition.name} {made.night}: {made.definition.title_of(made.night)}\n")
    for label, text in made.prompts:
        write_line(f"--- {label}\n{text}\n")
    if made.forecast:
        write_forecast(made.forecast)
        write_line(
            f"{'reductions':<12} of the answers come on top, {made.definition.reduce.at_most} answers at most in each"
        )
    if made.problem:
        write_line(f"{'would be skipped' if made.ok else 'would fail'}: {made.problem}\n")
        return
    write_line(f"{'page':<12} {made.page}")
    for name, target in made.deliveries.items():
        write_line(f"{name:<12} {target}")
    if not made.deliveries:
        write_line(f"{'delivery':<12} none: the files only")
    for variable in made.definition.delivery.unset_variables if made.deliveries else ():
        note(f"the variable {variable} is not set: export {variable}=...")
    write_line("")


def _as_json(made: ReportPreview) -> dict[str, Any]:
    takes = made.forecast.estimate if made.forecast else None
    return {
        "report": made.definition.name,
        "night": str(made.night),
        "title": made.definition.title_of(made.night),
        "documents": made.forecast.documents if made.forecast else 0,
        "unreadable": made.forecast.unreadable if made.forecast else [],
        "prompts": takes.prompts if takes else 0,
        "prompt_tokens": takes.prompt_tokens if takes else 0,
        "cost_of_prompts": takes.least.amount if takes else None,
        "cost_at_most": takes.most.amount if takes and takes.most else None,
        "first_prompts": [{"document": label, "text": text} for label, text in made.prompts],
        "page": made.page,
        "deliveries": made.deliveries,
        "problem": made.problem,
    }
