"""`threadmill follow`: prints a job's text as it is written, on stdout, and its other events on stderr."""

import sys

import typer

from threadmill.cli.app import AsJson, Exit, err, put
from threadmill.cli.command import examples
from threadmill.cli.jobs import JobId, remark, show_ending
from threadmill.client import Client
from threadmill.events import Event, EventKind


def add_to(app: typer.Typer) -> None:
    app.command(epilog=examples("threadmill follow JOB", "threadmill follow JOB --json"))(follow)


def follow(job: JobId, as_json: AsJson = False) -> None:
    """Print a job's text as it is written, and what its run does. With --json, print one line per event."""
    follow_job(Client(), job, as_json)


def follow_job(client: Client, job_id: str, as_json: bool) -> None:
    """Follows the job until it has finished; exits as `result` does."""
    printer = _Printer()
    try:
        for event in client.follow(job_id):
            if as_json:
                put(event.model_dump_json(exclude_none=True))
            else:
                printer.print(event)
    except KeyboardInterrupt:
        printer.break_line()
        remark(
            f"job {job_id} continues; to watch it: threadmill follow {job_id}; to stop it: threadmill cancel {job_id}"
        )
        raise typer.Exit(Exit.INTERRUPTED) from None
    printer.break_line()
    show_ending(client.wait(job_id, timeout_s=0), quiet=as_json)


class _Printer:
    """Prints events for people."""

    def __init__(self) -> None:
        self._in_line = False

    def print(self, event: Event) -> None:
        match event.kind:
            case EventKind.TEXT:
                self._write(event.text or "")
            case EventKind.MESSAGE:
                self.break_line()
            case EventKind.STATE:
                self._remark(f"job is {event.state}")
            case EventKind.RUN:
                self._remark(f"run {event.run} is {event.status}")
            case EventKind.TOOL_CALL:
                self._remark(f"tool {event.name} called: {event.arguments}")
            case EventKind.TOOL_OUTPUT:
                self._remark(f"tool {event.name} returned: {event.output}")

    def break_line(self) -> None:
        if self._in_line:
            self._write("\n")

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()
        self._in_line = not text.endswith("\n")

    def _remark(self, text: str) -> None:
        if sys.stdout.isatty() and err.is_terminal:  # otherwise text and remarks go to different places
            self.break_line()
        remark(text)
