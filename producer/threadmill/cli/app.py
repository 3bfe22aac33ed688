"""What all commands share: the app, the options they have in common, how they speak and end."""

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

from threadmill.endpoint import EndpointKind
from threadmill.errors import InvalidJob
from threadmill.job import PromptJob
from threadmill.local import Local
from threadmill.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Enqueue prompt jobs, see them through, read their results.",
    epilog="Settings come from threadmill.toml and the environment. To try it without a server: "
    'threadmill submit "Hello" --endpoint emulator --local',
)


class Exit(IntEnum):
    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_IN_TIME = 124
    INTERRUPTED = 130


#: Progress and remarks; plain off a terminal, and where NO_COLOR asks for it.
err = Console(stderr=True, highlight=False)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
Endpoint = Annotated[str | None, typer.Option(help="Endpoint in the settings. Default: default_endpoint.")]
Assistant = Annotated[str | None, typer.Option(help="Remote assistant id. Default: the endpoint's.")]
TimeoutS = Annotated[float | None, typer.Option("--timeout-s", min=0.001, help="One job's execution, in seconds.")]
LocalFlag = Annotated[
    bool,
    typer.Option("--local", help="Start Redis, a worker and, for endpoint `emulator`, the emulator, for this command."),
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
    """Data: on stdout."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def put_json(value: Any) -> None:
    put(json.dumps(value, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None))


def given(**fields: Any) -> dict[str, Any]:
    """The job fields that were given."""
    return {name: value for name, value in fields.items() if value is not None}


def with_own_files(settings: Settings, job: PromptJob, more: Iterable[Path] = ()) -> Settings:
    """For --local: who types the command and who runs the worker are one, so the files named may be read.

    `more`: others that jobs will name; one that is not there is left to its job.
    Raises InvalidJob if the job wants what a Redis of its own cannot have.
    """
    if job.profile is not None:
        raise InvalidJob(
            f"profile {job.profile!r}: the Redis of --local is new, nothing is applied there; give the assistant's id"
        )
    files = [Path(os.path.realpath(path)) for path in job.at(Path.cwd()).paths]
    for file in files:
        if not file.exists():
            raise InvalidJob(f"{file}: there is no such file; mend the path, or put the file there")
    folders = {file.parent for file in files} | {Path(os.path.realpath(file)).parent for file in more}
    outermost = sorted(folder for folder in folders if folders.isdisjoint(folder.parents))
    return settings.model_copy(update={"file_roots": (*settings.file_roots, *outermost)})


@dataclass(frozen=True)
class Here:
    """Where a command works."""

    settings: Settings
    environment: Mapping[str, str]  #: leads a child process there too
    check: Callable[[], None]  #: raises ProcessEnded once a process of --local has ended by itself


@contextmanager
def started(settings: Settings, local: bool, endpoint: str | None) -> Iterator[Here]:
    """Under --local, with the processes the command needs."""
    if not local:
        yield Here(settings, {}, lambda: None)
        return
    name = settings.endpoint_name(endpoint)
    settings.require_key(name)  # the worker inherits it from us
    with Local(settings, emulator=settings.endpoints[name].kind is EndpointKind.EMULATOR) as processes:
        yield Here(processes.settings, processes.environment, processes.check)
