"""`threadmill report run`, `due` and `schedule`: produce reports, by hand, from cron or as a scheduler."""

from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Annotated

import typer

from threadmill.batch.progress import BatchProgress
from threadmill.client import Client
from threadmill.errors import ThreadmillError
from threadmill.reports.definitions.files import load, names
from threadmill.reports.inputs import NoDocuments, documents_of
from threadmill.reports.production import Stopped
from threadmill.reports.rendering.formatting import count
from threadmill.reports.report_run import ReportRun, describe
from threadmill.reports.runner import ReportProblem, ReportRunner
from threadmill.settings.settings import Settings
from threadmill_cli.app import AsJson, Exit, LocalFlag, note, write_line
from threadmill_cli.command import examples
from threadmill_cli.commands.batch.document_options import attached_files
from threadmill_cli.commands.report.dry_run import ReportPreview, preview, preview_due, show_previews, write_all
from threadmill_cli.commands.report.options import Name, OfDate, SomeNames
from threadmill_cli.environment import Environment, open_environment, with_file_roots
from threadmill_cli.local.processes import ProcessEnded
from threadmill_cli.rendering.progress import Reporter


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a time; write it as 2026-11-20T06:00+08:00") from None
    if moment.tzinfo is None:
        raise typer.BadParameter(f"{text!r} has no time zone; add one, as in {text}+08:00 or {text}Z")
    return moment


NoDeliver = Annotated[
    bool,
    typer.Option("--no-deliver", help="Publish the files, but send no mail and call no webhook."),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Show what would be asked and delivered, with tokens and cost. Asks, delivers and writes nothing.",
    ),
]
Now = Annotated[
    datetime | None,
    typer.Option(
        parser=_moment, metavar="TIME", help="Act as if it were this time; use it with --dry-run. Default: now."
    ),
]


def add_to(group: typer.Typer) -> None:
    group.command(
        epilog=examples(
            "threadmill report run daily",
            "threadmill report run daily --date 2026-11-20 --dry-run",
            "threadmill report run daily --date 2026-11-20 --again",
        )
    )(run)
    group.command(
        epilog=examples(
            "threadmill report due",
            "threadmill report due --dry-run",
            "*/10 * * * * cd /srv/reports && threadmill report due",
        )
    )(due)
    group.command(epilog=examples("threadmill report schedule"))(schedule)


def run(
    name: Name,
    day: OfDate = None,
    again: Annotated[
        bool, typer.Option("--again", help="Ask about every document again, even if the report was published.")
    ] = False,
    endpoint: Annotated[
        str | None, typer.Option(metavar="NAME", help="Use this endpoint instead of the definition's.")
    ] = None,
    no_deliver: NoDeliver = False,
    dry_run: DryRun = False,
    local: LocalFlag = False,
    as_json: AsJson = False,
) -> None:
    """Produce the report of one night now. Resumes an interrupted night and retries a failed one."""
    settings = Settings.load()
    definition = load(settings.reports, name)
    if endpoint is not None:
        definition = definition.model_copy(update={"endpoint": endpoint})
    night = day or definition.latest_night(datetime.now(UTC))
    if local:
        with suppress(NoDocuments):  # the night reports that itself
            settings = with_file_roots(settings, definition.probe, attached_files(documents_of(definition, night)))
    if dry_run:
        client = Client(settings)
        client.check(definition.probe)
        _rehearsed([preview(client, definition, night, delivers=not no_deliver)], as_json)
        return
    with open_environment(settings, local, definition.endpoint) as env, _Steps() as steps:
        client = Client(env.settings)
        client.check(definition.probe)
        runner = ReportRunner(client, steps.watch, partial(_check, env), delivers=not no_deliver)
        made = runner.run(definition, night, again=again, waiting=_say_who)
    _show([made], as_json)


def due(
    some: SomeNames = None,
    now: Now = None,
    no_deliver: NoDeliver = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Produce every report that is due, including missed nights, then exit. Safe to call from cron at any interval."""
    settings = Settings.load()
    client, moment, reports = Client(settings), now or datetime.now(UTC), some or _names(settings)
    if dry_run:
        _rehearsed(preview_due(client, moment, reports, delivers=not no_deliver), as_json)
        return
    with _Steps() as steps:
        made = ReportRunner(client, steps.watch, delivers=not no_deliver).run_due(moment, reports)
    _show(made, as_json)


def schedule(
    every_s: Annotated[
        float, typer.Option("--every-s", min=1, metavar="SECONDS", help="Interval between two checks.")
    ] = 60,
) -> None:
    """Produce reports when they are due, until SIGTERM or Ctrl-C. Any number of schedulers may run."""
    from threadmill.reports.scheduler import run_scheduler  # imports what only logging processes need

    settings = Settings.load()
    _names(settings)
    run_scheduler(settings, every_s)


def _check(env: Environment) -> None:
    """Raises Stopped if a process of --local has ended, so that the night can be resumed."""
    try:
        env.check()
    except ProcessEnded as error:
        raise Stopped(str(error)) from None


def _rehearsed(made: list[ReportPreview | ReportProblem], as_json: bool) -> None:
    if not show_previews(made, as_json):
        raise typer.Exit(Exit.FAILED)


def _names(settings: Settings) -> list[str]:
    """Returns the names of all reports. Raises ThreadmillError if there is none, as in the wrong folder."""
    found = names(settings.reports)
    if not found:
        folder = settings.reports.absolute()
        raise ThreadmillError(
            f"there is no report in {folder}: write {folder}/NAME.toml, or change to the folder that has reports/"
        )
    return found


def _show(made: list[ReportRun | ReportProblem], as_json: bool) -> None:
    """Prints the outcome of each night; exits with 1 unless all have succeeded."""
    write_all(
        made,
        as_json,
        put_one=lambda run: write_line(f"{run.report} {run.night}: {describe(run)}"),
        json_of=lambda run: run.model_dump(mode="json"),
    )
    if not all(isinstance(each, ReportRun) and each.ok for each in made):
        raise typer.Exit(Exit.FAILED)


def _say_who(holder: str) -> None:
    note(f"{holder} is producing this report; waiting for it.")


class _Steps:
    """Shows the progress of each step."""

    def __init__(self) -> None:
        self._step: str | None = None
        self._reporter: Reporter | None = None

    def watch(self, step: str, progress: BatchProgress) -> None:
        if self._reporter is None or step != self._step:
            self.end()
            self._step, self._reporter = step, Reporter(progress.total)
            self._reporter.__enter__()
            note(f"{step}: {count(progress.total, 'prompt')}")
        self._reporter.update(progress)

    def end(self) -> None:
        if self._reporter is not None:
            self._reporter.stop()
            self._reporter = None

    def __enter__(self) -> "_Steps":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.end()
        if kind is KeyboardInterrupt:
            note("Stopped. Run the same command again to resume.")
            raise typer.Exit(Exit.INTERRUPTED) from None
