"""The emulator on a socket, with a record of the requests that it received."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import httpx

from threadmill_emulator.app import create_app
from threadmill_emulator.http.emulator import Emulator
from threadmill_emulator.http.endpoint import AZURE_PATH, AZURE_V1_PATH, DAVINCI_PATH
from threadmill_emulator.scripting.profiles import NO_PROFILE, PROFILES
from threadmill_emulator.testing import serving

#: Fields of an endpoint whose jobs take this wire to the emulator.
WIRES: dict[str, dict[str, Any]] = {
    "assistants": {},
    "responses": {"wire": "responses", "model": "emulator-1", "assistant": None},
}
#: The same for Chat Completions.
CHAT: dict[str, Any] = {"wire": "chat", "model": "emulator-1", "assistant": None}

_KINDS = ("threads", "responses", "conversations", "containers", "files", "vector_stores")

BASES = (DAVINCI_PATH, AZURE_V1_PATH, AZURE_PATH)

#: Keeps no connection; and no certificates, whose loading takes longer than the call.
_HTTP = httpx.Client(verify=False, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))


@dataclass(frozen=True)
class Request:
    """What a client sent."""

    method: str
    path: str  #: below the base URL
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Emulated:
    """A running emulator, and the requests that it received."""

    url: str  #: without a path
    emulator: Emulator  #: for data that has no route
    requests: list[Request]

    @property
    def base_url(self) -> str:
        return self.url + DAVINCI_PATH

    def stats(self, **query: str) -> dict[str, Any]:
        return _HTTP.get(f"{self.url}/_stats", params=query).raise_for_status().json()

    def faults(self, **plan: Any) -> None:
        _HTTP.post(f"{self.url}/_faults", json=plan).raise_for_status()

    def left(self) -> dict[str, int]:
        """How many objects of each kind are there; {}: none at all."""
        stats = self.stats()
        return {kind: stats[kind]["alive"] for kind in _KINDS if stats[kind]["alive"]}

    def threads(self) -> int:
        """How many are alive."""
        return self.stats()["threads"]["alive"]

    def created(self) -> int:
        """How many runs, responses and chat completions were created."""
        stats = self.stats()
        return sum(stats[kind]["created"] for kind in ("runs", "responses", "completions"))

    def tool_outputs(self) -> list[str]:
        """The outputs that were submitted, of all rounds."""
        submitted = self.sent("POST", "/submit_tool_outputs")
        return [each["output"] for request in submitted for each in request.json["tool_outputs"]]

    def completed(self) -> int:
        """How many runs completed."""
        return self.stats()["runs"]["by_status"].get("completed", 0)

    def call(self, method: str, path: str, body: Any) -> Any:
        """A call of somebody else."""
        headers = {"Authorization": "Bearer someone", "OpenAI-Beta": "assistants=v2"}
        return _HTTP.request(method, self.base_url + path, json=body, headers=headers).raise_for_status().json()

    def upload(self, name: str, content: bytes) -> Any:
        """Uploads a file as somebody else."""
        headers = {"Authorization": "Bearer someone"}
        sent = {"files": {"file": (name, content)}, "data": {"purpose": "assistants"}}
        return _HTTP.post(f"{self.base_url}/files", headers=headers, **sent).raise_for_status().json()

    def sent(self, method: str, ending: str) -> list[Request]:
        """The requests with this method and this end of the path."""
        return [each for each in self.requests if each.method == method and each.path.endswith(ending)]


@contextmanager
def emulating(*, like: str | None = None, **options: Any) -> Iterator[Emulated]:
    """`like` names one of the PROFILES; the others are fields of Options."""
    profile = PROFILES[like] if like else NO_PROFILE
    app = create_app(profile.options(**{"run_s": 0.05} | options))
    requests: list[Request] = []

    async def recorded(scope: Any, receive: Any, send: Any) -> None:
        base = scope["type"] == "http" and next((each for each in BASES if scope["path"].startswith(each)), None)
        if not base:
            return await app(scope, receive, send)
        body = bytearray()

        async def tap() -> Any:
            message = await receive()
            body.extend(message.get("body", b""))
            if message["type"] == "http.request" and not message.get("more_body"):
                path = scope["path"].removeprefix(base)
                query = dict(parse_qsl(scope["query_string"].decode()))
                headers = {name.decode(): value.decode() for name, value in scope["headers"]}
                requests.append(Request(scope["method"], path, query, headers, bytes(body)))
            return message

        return await app(scope, tap, send)

    with serving(recorded, waits=False) as url:
        yield Emulated(url, app.state.emulator, requests)
