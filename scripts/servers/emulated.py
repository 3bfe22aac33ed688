"""Servers that cannot be installed here: the emulator imitates them (`threadmill emulator --like NAME`)."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from servers import backends
from servers.backends import Backend
from servers.kind import Kind, Running, in_front_of
from threadmill_emulator.scripting.profiles import PROFILES

#: The profiles with chat completions, and the settings that their pages advise.
_SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "vllm-chat": {},
    "ollama-chat": {},
    "anthropic": {"supports": {"json_schema": False}},
    "gemini": {},
}


@contextmanager
def _emulated(folder: Path, backend: Backend) -> Iterator[Running]:
    yield Running(backend.url, "none", backend.model, backend, backend.alive)


KINDS = tuple(
    Kind(
        f"like-{name}",
        f"emulator, as {PROFILES[name].server}",
        in_front_of(partial(backends.chat_emulator, PROFILES[name]), _emulated),
        {"kind": "chat", **settings},
        1,
    )
    for name, settings in _SETTINGS.items()
)
