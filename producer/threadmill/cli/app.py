"""What all commands share: the app, common options, output and exit codes."""

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
from threadmill.local.services import Local
from threadmill.names import printable
from threadmill.secrets.redaction import redact, redact_all
from threadmill.settings.endpoint import EndpointKind
from threadmill.settings.settings import Settings

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
    """Names and reasons come from users and servers: none of them controls the terminal."""

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(printable(text), **options)


#: Progress and remarks; without colour when not at a terminal, or when NO_COLOR is set.
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
        put(f"threadmill {version('threadmill')}")
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and exit.")
    ] = False,
) -> None:
    """The options of `threadmill` itself."""


def put(text: str) -> None:
    """Writes data to stdout, in a line of its own."""
    write(text + "\n")


def write(text: str) -> None:
    """Writes data to stdout: as it is, but for what would control a terminal there."""
    text = redact(text)
    sys.stdout.write(printable(text) if sys.stdout.isatty() else text)
    sys.stdout.flush()


def note(text: str) -> None:
    """Writes something to know besides the data to stderr."""
    err.print(redact(text), soft_wrap=True, markup=False)


def put_json(value: Any) -> None:
    put(json.dumps(redact_all(value), ensure_ascii=False, indent=2 if sys.stdout.isatty() else None))


def given(**fields: Any) -> dict[str, Any]:
    """The job fields that were given."""
    return {name: value for name, value in fields.items() if value is not None}


def with_own_files(settings: Settings, job: PromptJob, more: Iterable[Path] = ()) -> Settings:
    """For --local: lets its worker read the files that the command names.

    `more`: other files that jobs will name; a missing one fails only its own job.
    Raises InvalidJob if a file is missing, or if the job names a profile, which only a lasting Redis knows.
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
class Here:
    """The settings a command works with."""

    settings: Settings
    environment: Mapping[str, str]  #: variables that give a child process the same settings
    check: Callable[[], None]  #: raises ProcessEnded if a process of --local has ended by itself


@contextmanager
def started(settings: Settings, local: bool, endpoint: str | None) -> Iterator[Here]:
    """With `local`, starts the processes the command needs. `endpoint` None: the usual one."""
    if not local:
        yield Here(settings, {}, lambda: None)
        return
    name = settings.endpoint_name(endpoint) if endpoint else settings.usual_endpoint()
    if name is not None:
        settings.require_key(name)  # the worker inherits it from us
    emulated = name is not None and settings.endpoints[name].kind is EndpointKind.EMULATOR
    with Local(settings, emulator=emulated) as processes:
        yield Here(processes.settings, processes.environment, processes.check)
