"""What answers behind a server: a model of chat completions, or the emulator where a server passes responses on."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from servers.model import NAME, Asked, Model
from servers.recorder import Recorder
from threadmill_emulator.app import create_app
from threadmill_emulator.http.control import snapshot
from threadmill_emulator.http.emulator import Emulator
from threadmill_emulator.responses.context import text
from threadmill_emulator.responses.response import Response
from threadmill_emulator.scripting.options import Options
from threadmill_emulator.scripting.profiles import NO_PROFILE, Profile
from threadmill_emulator.testing import serving

#: A server that reuses a connection just as it is closed reports a failure of its backend.
KEEP_ALIVE_S = 600


@dataclass(frozen=True)
class Backend:
    url: str  #: its base URL, with /v1
    model: str
    asked: list[Asked]  #: grows as it is asked
    words: Mapping[str, str]  #: what a prompt says to have it slow, call tools, search files, or fail once
    alive: Callable[[], int] | None = None  #: how many objects it holds, where it holds any
    repeats: bool = True  #: its answers repeat what it was asked, and it does what the words say; a real model does not

    def questions(self, mark: str) -> list[Asked]:
        """The requests whose last user message has this mark."""
        return [asked for asked in self.asked if mark in asked.question]


MODEL_WORDS = {"slow": "slow={}", "tools": "rounds=2", "search": "search", "fails": "fail=500", "limits": "fail=429"}
EMULATOR_WORDS = {
    "slow": "[[scenario=echo run_s={}]]",
    "tools": "[[scenario=tool_rounds n=2]]",
    "search": "[[scenario=citations]]",
    "fails": "[[scenario=failed_once]]",
    "limits": "[[scenario=rate_limited times=1]]",
}


@contextmanager
def model() -> Iterator[Backend]:
    """The fake model, in this process."""
    fake = Model()
    with serving(fake.app, keep_alive_s=KEEP_ALIVE_S) as url:
        yield Backend(f"{url}/v1", NAME, fake.asked, MODEL_WORDS)


@contextmanager
def emulator() -> Iterator[Backend]:
    """The emulator, in this process; its responses take as long as a short answer of a model."""
    app = create_app(Options(run_s=0.5))
    server: Emulator = app.state.emulator
    responses = server.state.responses
    asked: list[Asked] = []
    create = responses.create

    def recorded(*arguments: Any, **options: Any) -> Response:
        response = create(*arguments, **options)
        users = [text(item) for item in response.all_read if item.get("role") == "user"]
        asked.append(Asked(users[-1] if users else "", "\n".join(map(text, response.all_read))))
        return response

    responses.create = recorded  # type: ignore[method-assign]

    with serving(app, keep_alive_s=KEEP_ALIVE_S) as url:
        yield Backend(f"{url}/v1", "emulator", asked, EMULATOR_WORDS, lambda: _held(server))


@contextmanager
def chat_emulator(like: Profile = NO_PROFILE) -> Iterator[Backend]:
    """The emulator's chat completions, in this process; with `like`, they differ as another server's do."""
    app = create_app(like.options(run_s=0.5))
    server: Emulator = app.state.emulator
    with serving(app, keep_alive_s=KEEP_ALIVE_S) as url:
        recorder = Recorder(f"{url}/v1")
        with serving(recorder.app, keep_alive_s=KEEP_ALIVE_S) as recorded:
            yield Backend(f"{recorded}/v1", "emulator", recorder.asked, EMULATOR_WORDS, lambda: _held(server))


def _held(server: Emulator) -> int:
    counted = snapshot(server)
    return sum(counted[kind]["alive"] for kind in ("responses", "conversations", "files", "vector_stores"))
