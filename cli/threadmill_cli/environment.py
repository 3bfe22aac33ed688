"""What a command works with: the settings, and with --local its own processes."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from threadmill.errors import InvalidJob
from threadmill.job.prompt import PromptJob
from threadmill.settings.endpoints.endpoint import EndpointKind
from threadmill.settings.settings import Settings
from threadmill_cli.local.services import Local


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
