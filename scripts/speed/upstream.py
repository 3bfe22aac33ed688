"""A server for benchmarks: the routes of each API that a plain job needs, at a few dozen microseconds a call.

The emulator checks each request and costs as much CPU time as a worker; on a small machine it would be measured, too.
This server trusts its callers. `[[run_s=5]]` in a prompt says how long its run takes, as on the emulator.
"""

import argparse
import asyncio
import json
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from importlib.util import find_spec
from typing import Any, NamedTuple, cast

from speed import replies

_RUN_S = re.compile(rb"\[\[run_s=([\d.]+)")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Reply(NamedTuple):
    status: int
    body: dict[str, Any]
    at: float = 0.0  #: when it is sent; earlier times mean at once


@dataclass
class Run:
    id: str
    thread_id: str
    created_at: float
    ends_at: float
    tag: Mapping[str, str]

    @property
    def done_at(self) -> float | None:
        return self.ends_at if time.time() >= self.ends_at else None


@dataclass
class Upstream:
    """The objects on the server. `spread`: a run takes between 1 - spread and 1 + spread times what its prompt says."""

    spread: float
    calls: Counter[str] = field(default_factory=Counter)
    _threads: dict[str, float] = field(default_factory=dict)  #: how long the thread's runs take, in seconds
    _runs: dict[str, Run] = field(default_factory=dict)  #: by the id of the run, or of the response
    _number: int = 0
    _random: random.Random = field(default_factory=lambda: random.Random(1))

    def answer(self, method: str, path: str, body: bytes) -> Reply:
        """Returns the reply to a request."""
        if path.startswith("/_"):
            return Reply(200, self._control(path))
        for name, (of_method, pattern, reply) in ROUTES.items():
            if method == of_method and (match := pattern.fullmatch(path)):
                self.calls[name] += 1
                return Reply(*reply(self, body, *match.groups()))
        return Reply(404, replies.error(404, f"the benchmark's server has no route {method} {path}"))

    def _control(self, path: str) -> dict[str, Any]:
        if path == "/_reset":
            self.calls.clear()
        return {"calls": self.calls}

    def create_thread(self, body: bytes) -> tuple[int, dict[str, Any]]:
        thread_id = self._new_id("thread")
        self._threads[thread_id] = _seconds(body)
        return 200, replies.thread(thread_id, time.time())

    def create_thread_and_run(self, body: bytes) -> tuple[int, dict[str, Any]]:
        thread_id = self._new_id("thread")
        self._threads[thread_id] = _seconds(body)
        return self.create_run(body, thread_id)

    def create_run(self, body: bytes, thread_id: str) -> tuple[int, dict[str, Any]]:
        if thread_id not in self._threads:
            return _unknown(thread_id)
        run = self._start("run", thread_id, self._threads[thread_id], body)
        return 200, replies.run(run.id, thread_id, run.created_at, None, run.tag)

    def retrieve_run(self, body: bytes, thread_id: str, run_id: str) -> tuple[int, dict[str, Any]]:
        if (run := self._runs.get(run_id)) is None:
            return _unknown(run_id)
        return 200, replies.run(run.id, thread_id, run.created_at, run.done_at, run.tag)

    def list_messages(self, body: bytes, thread_id: str, run_id: str) -> tuple[int, dict[str, Any]]:
        if (run := self._runs.get(run_id)) is None:
            return _unknown(run_id)
        return 200, replies.messages(thread_id, run_id, run.ends_at)

    def delete_thread(self, body: bytes, thread_id: str) -> tuple[int, dict[str, Any]]:
        if self._threads.pop(thread_id, None) is None:
            return _unknown(thread_id)
        self._runs.pop(thread_id.replace("thread_", "run_"), None)
        return 200, replies.deleted(thread_id, "thread")

    def create_response(self, body: bytes) -> tuple[int, dict[str, Any]]:
        run = self._start("resp", "", _seconds(body), body)
        return 200, replies.response(run.id, run.created_at, None, run.tag)

    def retrieve_response(self, body: bytes, response_id: str) -> tuple[int, dict[str, Any]]:
        if (run := self._runs.get(response_id)) is None:
            return _unknown(response_id)
        return 200, replies.response(run.id, run.created_at, run.done_at, run.tag)

    def delete_response(self, body: bytes, response_id: str) -> tuple[int, dict[str, Any]]:
        if self._runs.pop(response_id, None) is None:
            return _unknown(response_id)
        return 200, replies.deleted(response_id, "response")

    def create_completion(self, body: bytes) -> Reply:
        """The reply comes when the run has ended. Nothing is kept."""
        now = time.time()
        ends_at = now + self._takes_s(_seconds(body))
        return Reply(200, replies.completion(self._new_id("chatcmpl"), now, ends_at), ends_at)

    def _start(self, kind: str, thread_id: str, run_s: float, body: bytes) -> Run:
        """A thread has one run, whose id it determines."""
        run_id = thread_id.replace("thread_", f"{kind}_") or self._new_id(kind)
        now = time.time()
        run = Run(run_id, thread_id, now, now + self._takes_s(run_s), json.loads(body).get("metadata") or {})
        self._runs[run_id] = run
        return run

    def _takes_s(self, run_s: float) -> float:
        return run_s * self._random.uniform(1 - self.spread, 1 + self.spread)

    def _new_id(self, kind: str) -> str:
        self._number += 1
        return f"{kind}_{self._number:024x}"


def _seconds(body: bytes) -> float:
    """Returns how long the run of a prompt takes."""
    found = _RUN_S.search(body)
    return float(found[1]) if found else 0.0


def _unknown(object_id: str) -> tuple[int, dict[str, Any]]:
    return 404, replies.error(404, f"there is no object {object_id!r}")


Route = tuple[str, re.Pattern[str], Callable[..., tuple[int, dict[str, Any]] | Reply]]
ROUTES: Mapping[str, Route] = {
    "runs.retrieve": ("GET", re.compile(r"/v1/threads/(\w+)/runs/(\w+)"), Upstream.retrieve_run),
    "responses.retrieve": ("GET", re.compile(r"/v1/responses/(\w+)"), Upstream.retrieve_response),
    "threads.create": ("POST", re.compile(r"/v1/threads"), Upstream.create_thread),
    "threads.create_and_run": ("POST", re.compile(r"/v1/threads/runs"), Upstream.create_thread_and_run),
    "runs.create": ("POST", re.compile(r"/v1/threads/(\w+)/runs"), Upstream.create_run),
    "messages.list": ("GET", re.compile(r"/v1/threads/(\w+)/messages\?.*?run_id=(\w+).*"), Upstream.list_messages),
    "threads.delete": ("DELETE", re.compile(r"/v1/threads/(\w+)"), Upstream.delete_thread),
    "responses.create": ("POST", re.compile(r"/v1/responses"), Upstream.create_response),
    "chat.completions.create": ("POST", re.compile(r"/v1/chat/completions"), Upstream.create_completion),
    "responses.delete": ("DELETE", re.compile(r"/v1/responses/(\w+)"), Upstream.delete_response),
}


class Connection(asyncio.Protocol):
    """A connection of a client, which may send several requests before it reads the replies."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is not a subclass

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head, start = self._received[:end], end + 4
            length = int(found[1]) if (found := _LENGTH.search(head)) else 0
            if len(self._received) < start + length:
                return
            body, self._received = self._received[start : start + length], self._received[start + length :]
            method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
            self._send(self._upstream.answer(method, path, body))

    def _send(self, reply: Reply) -> None:
        """Clients do not send requests before they have read the last reply, so replies stay in order."""
        content, wait_s = _rendered(reply.status, reply.body), reply.at - time.time()
        if wait_s <= 0:
            self._transport.write(content)
        else:
            asyncio.get_running_loop().call_later(wait_s, self._transport.write, content)


def _rendered(status: int, body: dict[str, Any]) -> bytes:
    content = json.dumps(body, separators=(",", ":")).encode()
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ndate: {formatdate(usegmt=True)}\r\n"
        f"content-length: {len(content)}\r\ncontent-type: application/json\r\n"
        f"x-request-id: req_{id(body):024x}\r\nopenai-processing-ms: 1\r\n\r\n"
    )
    return head.encode() + content


async def serve(port: int, spread: float) -> None:
    upstream = Upstream(spread)
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(upstream), "127.0.0.1", port, backlog=2048
    )
    sys.stdout.write(f"listening on http://127.0.0.1:{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8088, help="0: any (default: %(default)s)")
    parser.add_argument("--spread", type=float, default=0.0, help="how much the durations of runs differ, 0 to 1")
    options = parser.parse_args()
    with asyncio.Runner(loop_factory=_fast_loop()) as runner:
        runner.run(serve(options.port, options.spread))


def _fast_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Returns uvloop's event loop if it is installed."""
    if find_spec("uvloop") is None:
        return None
    import uvloop

    return uvloop.new_event_loop


if __name__ == "__main__":
    main()
