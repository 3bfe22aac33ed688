"""`threadmill jobs follow`: prints a job's text as it is written, on stdout, and its other events on stderr."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer

from threadmill.client import Client
from threadmill.job.events.event import Event, EventKind
from threadmill_cli.app import AsJson, Exit, err, note, write, write_line
from threadmill_cli.command import examples
from threadmill_cli.commands.jobs.results import JobId, show_ending
from threadmill_cli.local.services import STATE_FOLDER


def add_to(group: typer.Typer) -> None:
    group.command(epilog=examples("threadmill jobs follow JOB", "threadmill jobs follow JOB --json"))(follow)


def follow(job: JobId, as_json: AsJson = False) -> None:
    """Print a job's text as it is written, and its other events. With --json, print one line per event."""
    follow_job(Client(), job, as_json)


def follow_job(client: Client, job_id: str, as_json: bool, local_endpoint: str | None = None) -> None:
    """Prints the job's events until it has ended; exits like `result`. `local_endpoint`: see `interruptible`."""
    printer = _Printer()
    with interruptible(job_id, local_endpoint, printer.break_line):
        for event in client.follow(job_id):
            if as_json:
                write_line(event.model_dump_json(exclude_none=True))
            else:
                printer.print(event)
    printer.break_line()
    show_ending(client.wait(job_id, timeout_s=0), quiet=as_json)


@contextmanager
def interruptible(job_id: str, local_endpoint: str | None, before: Callable[[], None] = lambda: None) -> Iterator[None]:
    """On Ctrl-C, calls `before`, notes how to continue and exits with 130.

    `local_endpoint`: the endpoint of a job of --local, whose worker ends with this command.
    """
    try:
        yield
    except KeyboardInterrupt:
        before()
        if local_endpoint:
            note(
                f"job {job_id} waits in {STATE_FOLDER}/; to continue it: "
                f"threadmill local --endpoint {local_endpoint} -- threadmill jobs follow {job_id}"
            )
        else:
            note(
                f"job {job_id} continues; to watch it: threadmill jobs follow {job_id}; "
                f"to stop it: threadmill jobs cancel {job_id}"
            )
        raise typer.Exit(Exit.INTERRUPTED) from None


class _Printer:
    """Prints events as text."""

    def __init__(self) -> None:
        self._in_line = False

    def print(self, event: Event) -> None:
        match event.kind:
            case EventKind.TEXT:
                self._write(event.text or "")
            case EventKind.MESSAGE:
                self.break_line()
            case EventKind.STATE:
                self._note(f"job is {event.state}")
            case EventKind.RUN:
                self._note(f"run {event.run} is {event.status}")
            case EventKind.TOOL_CALL:
                self._note(f"tool {event.name} called: {event.arguments}")
            case EventKind.TOOL_OUTPUT:
                self._note(f"tool {event.name} returned: {event.output}")

    def break_line(self) -> None:
        if self._in_line:
            self._write("\n")

    def _write(self, text: str) -> None:
        write(text)
        self._in_line = not text.endswith("\n")

    def _note(self, text: str) -> None:
        if sys.stdout.isatty() and err.is_terminal:  # otherwise text and notes go to different places
            self.break_line()
        note(text)
