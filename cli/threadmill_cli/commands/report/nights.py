"""`threadmill report list` and `check`."""

from datetime import UTC, datetime

import typer

from threadmill.errors import ThreadmillError
from threadmill.reports.definitions.files import load
from threadmill.reports.inputs import check_prompts, documents_of
from threadmill.reports.report_run import ReportRun, describe
from threadmill.reports.store import ReportStore
from threadmill.settings.settings import Settings
from threadmill_cli.app import (
    AsJson,
    Exit,
    note,
    write_json,
    write_line,
)
from threadmill_cli.command import examples
from threadmill_cli.commands.report.options import Name, OfDate, SomeNames


def add_to(group: typer.Typer) -> None:
    group.command("list", epilog=examples("threadmill report list", "threadmill report list daily --json"))(list_)
    group.command(epilog=examples("threadmill report check daily --date 2026-11-20"))(check)


def check(name: Name, day: OfDate = None, as_json: AsJson = False) -> None:
    """Check a definition: its fields, prompts, variables, next runs and documents. Contacts no server."""
    settings = Settings.load()
    definition = load(settings.reports, name)
    now = datetime.now(UTC)
    night = day or definition.latest_night(now)
    settings.endpoint_name(definition.endpoint)
    try:
        documents = documents_of(definition, night)
        number, problem = len(documents), None
    except ThreadmillError as error:
        documents, number, problem = [], 0, str(error)
    check_prompts(definition, documents)
    clock, unset = definition.clock, definition.delivery.unset_variables
    fires = [fire.at.isoformat() for fire in clock.next_fires(now, 3)] if clock else []
    facts = {"report": name, "title": definition.title_of(night), "night": str(night), "documents": number}
    if as_json:
        write_json(facts | {"problem": problem, "unset_variables": unset, "next_fires": fires})
    else:
        for field, value in facts.items():
            write_line(f"{field:<12} {value}")
        for fire in fires:
            write_line(f"{'next run':<12} {fire}")
        if problem:
            note(problem)
    for variable in unset:
        note(f"the variable {variable} is not set: export {variable}=...")
    if unset:
        raise typer.Exit(Exit.FAILED)


def list_(some: SomeNames = None, as_json: AsJson = False) -> None:
    """List the nights of each report: state, cost, link. The latest night comes first."""
    settings = Settings.load()
    store = ReportStore(settings)
    runs = [run for name in some or store.names() for run in store.runs(name)]
    if as_json:
        write_json([run.model_dump(mode="json") for run in runs])
        return
    for run in runs:
        holder = None if run.is_over else store.holder(run.report, run.night)
        write_line(f"{run.report:<20} {run.night}  {run.state:<10} {_cost(run):>16}  {_rest(run, holder)}")


def _rest(run: ReportRun, holder: str | None) -> str:
    if run.is_over:
        return describe(run).partition(", ")[2]
    return f"by {holder}" if holder else "interrupted; the next call resumes it"


def _cost(run: ReportRun) -> str:
    if run.cost is not None:
        return f"{run.cost:.4f} {run.currency}"
    return f"tokens: {run.usage.in_words}" if run.usage.unreported else f"{run.usage.in_words} tokens"
