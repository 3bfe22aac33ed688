"""The app, and the options, output and exit codes that all commands share."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from threadmill.errors import InvalidJob
from threadmill.job.prompt import PromptJob
from threadmill.names import printable
from threadmill.secrets.redaction import redact, redact_all
from threadmill.settings.endpoint import EndpointKind
from threadmill.settings.settings import Settings
from threadmill_cli.local.services import Local

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


def with_file_roots(settings: Settings, job: PromptJob, more: Iterable[Path] = ()) -> Settings:
    """Returns settings for --local, whose worker may read the files that the command names.

    `more`: further files of single jobs; if one is missing, only its job fails.
    Raises InvalidJob if a file of the job is missing, or if the job names a profile, which the new Redis does not know.
    """
    if job.profile is not None:
        raise InvalidJob(
            f"profile {job.profile!r} cannot be used with --local, whose Redis does not know the profiles you applied; "
            "give the assistant's id with --assistant"
        )
    files = [Path(os.path.realpath(path)) for path in job.at(Path.cwd()).paths]
    for file in files:
        if not file.exists():
            raise InvalidJob(f"{file}: there is no such file; correct the path")
    folders = {file.parent for file in files} | {Path(os.path.realpath(file)).parent for file in more}
    outermost = sorted(folder for folder in folders if folders.isdisjoint(folder.parents))
    return settings.model_copy(update={"file_roots": (*settings.file_roots, *outermost)})


@dataclass(frozen=True)
class Environment:
    """What a command works with: settings, and with --local its own processes."""

    settings: Settings
    variables: Mapping[str, str]  #: environment variables that give a child process the same settings
    check: Callable[[], None]  #: raises ProcessEnded if a process of --local has ended


@contextmanager
def open_environment(settings: Settings, local: bool, endpoint: str | None) -> Iterator[Environment]:
    """Yields the environment of a command; with `local`, starts its processes. `endpoint`: default, the usual one."""
    if not local:
        yield Environment(settings, {}, lambda: None)
        return
    name = settings.endpoint_name(endpoint) if endpoint else settings.usual_endpoint()
    if name is not None:
        settings.require_key(name)  # the worker inherits it
    emulated = name is not None and settings.endpoints[name].kind is EndpointKind.EMULATOR
    with Local(settings, emulator=emulated) as processes:
        yield Environment(processes.settings, processes.environment, processes.check)
