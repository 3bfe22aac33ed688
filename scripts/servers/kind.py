"""What a server that is checked is, and how its process is started."""

import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from servers.backends import Backend
from threadmill_cli.local.processes import Process

START_S = 180


@dataclass(frozen=True)
class Running:
    """A server that answers."""

    url: str  #: its base URL, with /v1
    key: str
    model: str
    backend: Backend
    alive: Callable[[], int] | None = None  #: how many objects the server holds, where it holds any
    lasting: Callable[[], int] | None = None  #: how many it holds that no call deletes, where there are any


@dataclass(frozen=True)
class Kind:
    name: str
    version: str
    start: Callable[[Path], AbstractContextManager[Running]]  #: with its environment and its logs in the folder
    settings: Mapping[str, Any]  #: of its endpoint, besides base_url, api_key_env and model
    plain_calls: int  #: that a job without tools, files and thread takes


def in_front_of(
    backend: Callable[[], AbstractContextManager[Backend]],
    start: Callable[[Path, Backend], AbstractContextManager[Running]],
) -> Callable[[Path], AbstractContextManager[Running]]:
    """Returns what starts a backend, and a server in front of it."""

    @contextmanager
    def started(folder: Path) -> Iterator[Running]:
        with backend() as made, start(folder, made) as running:
            yield running

    return started


@contextmanager
def process(name: str, command: list[str], folder: Path, environment: Mapping[str, str]) -> Iterator[Process]:
    """A server's process, with its log in the folder and none of our own modules on its path."""
    started = Process(name, command, folder / f"{name}.log", {"PYTHONPATH": "", **environment})
    try:
        yield started
    finally:
        started.stop()


def answers(url: str, key: str | None = None) -> bool:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=5) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False
