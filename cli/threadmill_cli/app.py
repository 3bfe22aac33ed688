"""The app, and the options, output and exit codes that all commands share."""

import json
import sys
from enum import IntEnum
from importlib.metadata import version
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from threadmill.names import printable
from threadmill.secrets.redaction import redact, redact_all

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
    help="Enqueue prompt jobs, run them in workers, read their results.",
    epilog="Settings come from threadmill.toml and the environment.\n"
    'To try threadmill without a server:\n  threadmill submit "Hello" --endpoint emulator --local',
)


class Exit(IntEnum):
    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_IN_TIME = 124
    INTERRUPTED = 130


class _Console(Console):
    """Removes control characters from all text, because names and reasons come from users and servers."""

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(printable(text), **options)


#: Console for progress and notes; it uses no colours when stderr is not a terminal, or NO_COLOR is set.
err = _Console(stderr=True, highlight=False)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
Endpoint = Annotated[
    str | None, typer.Option(metavar="NAME", help="Endpoint in the settings. Default: default_endpoint.")
]
Assistant = Annotated[str | None, typer.Option(metavar="ID", help="Remote assistant id. Default: the endpoint's.")]
TimeoutS = Annotated[
    float | None, typer.Option("--timeout-s", min=0.001, metavar="SECONDS", help="Time limit of each job.")
]
LocalFlag = Annotated[
    bool,
    typer.Option(
        "--local", help="Start Redis and a worker for this command; for endpoint `emulator`, also the emulator."
    ),
]


def _print_version(asked: bool) -> None:
    if asked:
        write_line(f"threadmill {version('threadmill')}")
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and exit.")
    ] = False,
) -> None:
    """The options of `threadmill` itself."""


def write_line(text: str) -> None:
    """Writes a line of data to stdout."""
    write(text + "\n")


def write(text: str) -> None:
    """Writes data to stdout with secrets redacted; at a terminal, without control characters."""
    text = redact(text)
    sys.stdout.write(printable(text) if sys.stdout.isatty() else text)
    sys.stdout.flush()


def note(text: str) -> None:
    """Writes a line for the user to stderr."""
    err.print(redact(text), soft_wrap=True, markup=False)


def write_json(value: Any) -> None:
    """Writes a value to stdout as JSON, indented at a terminal."""
    write_line(json.dumps(redact_all(value), ensure_ascii=False, indent=2 if sys.stdout.isatty() else None))


def without_none(**fields: Any) -> dict[str, Any]:
    """Returns the fields whose value is not None."""
    return {name: value for name, value in fields.items() if value is not None}
