"""Tool calls that are HTTP requests, against a server on a socket; and all kinds of tools in one run."""

import asyncio
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from tests import mcp_server

from threadmill import JobState
from threadmill.settings.tools import FunctionSettings, HttpSettings
from threadmill_worker.tools import http as http_tools
from threadmill_worker.tools import registry

pytestmark = pytest.mark.integration

#: Lets /held answer.
GO = threading.Event()


class Weather(BaseHTTPRequestHandler):
    """Returns the request that it received; /held waits for GO, /endless never ends."""

    asked: list[tuple[str, str, str]]

    def do_GET(self) -> None:
        self.asked.append((self.command, self.path, self.headers.get("Authorization", "")))
        if self.path.startswith("/held"):
            GO.wait(60)
        self.send_response(404 if self.path.startswith("/missing") else 200)
        self.send_header("Set-Cookie", "session=somebodys")
        self.end_headers()
        if self.path.startswith("/endless"):
            self._flood()
        else:
            length = int(self.headers.get("Content-Length", 0))
            told = {"path": self.path, "body": self.rfile.read(length).decode(), "cookie": self.headers.get("Cookie")}
            self.wfile.write(json.dumps(told).encode())

    do_POST = do_GET

    def _flood(self) -> None:
        try:
            while True:
                self.wfile.write(b"x" * 65536)
        except ConnectionError:
            pass

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def weather() -> Iterator[ThreadingHTTPServer]:
    Weather.asked = []
    GO.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Weather) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        GO.set()
        server.shutdown()


@pytest.fixture
def site() -> Iterator[str]:
    with weather() as server:
        yield f"http://127.0.0.1:{server.server_port}"


@pytest.fixture
async def make(site):
    """HTTP tools of that server."""
    http = http_tools.connect()
    yield lambda path, **fields: http_tools.HttpTool(
        "weather", HttpSettings.model_validate({"url": site + path, "parameters": {"type": "object"}, **fields}), http
    )
    await http.aclose()


async def test_no_cookie_of_one_call_is_sent_with_the_next(make):
    tool = make("/x")

    told = [json.loads(await tool.call({})) for _ in range(2)]
    assert [each["cookie"] for each in told] == [None, None]


async def test_a_reply_without_end_is_cut(make):
    text = await make("/endless", reply_limit_bytes=100_000).call({})

    assert text.endswith("[cut: only the first 100000 bytes of the reply were read]")
    assert len(text) < 100_100


async def test_no_more_calls_are_under_way_than_its_cap(make, until):
    tool = make("/held", concurrency=2)
    calls = [asyncio.create_task(tool.call({})) for _ in range(5)]
    await asyncio.to_thread(until, lambda: len(Weather.asked) == 2)
    quick = make("/x")
    await quick.call({})  # a round trip, in which a third would have come through
    assert [path for _, path, _ in Weather.asked] == ["/held", "/held", "/x"]

    GO.set()
    assert len(await asyncio.gather(*calls)) == 5


@pytest.mark.parametrize(
    ("fields", "output"),
    [
        ({"path": "/{city}"}, '{"path": "/New%20York", "body": "", "cookie": null}'),
        ({"path": "/x"}, '{"path": "/x?city=New+York", "body": "", "cookie": null}'),
        ({"path": "/x", "method": "POST"}, '{"path": "/x", "body": "{\\"city\\":\\"New York\\"}", "cookie": null}'),
        ({"path": "/missing"}, "The tool weather failed: HTTP 404 Not Found: "),
        ({"path": "/held", "timeout_s": 0.3}, "The tool weather failed: it did not answer within 0.3 s"),
    ],
)
async def test_a_job_calls_it(make_settings, site, emulator, worker_of, fields, output):
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    tool = {"url": site + fields.pop("path"), "parameters": parameters, "description": "The weather.", **fields}
    worker = worker_of(make_settings(emulator.base_url, tools={"weather": tool}))
    result = await worker.run("[[scenario=tools]]\nNew York", tools=["weather"])

    assert result.state is JobState.SUCCEEDED
    [told] = emulator.tool_outputs()
    assert told.startswith(output)
    [offered] = emulator.sent("POST", "/runs")[0].json["tools"]
    assert offered["function"] == {"name": "weather", "description": "The weather.", "parameters": parameters}


def reverse(text: str) -> str:
    """The text from its end."""
    return text[::-1]


async def test_one_run_calls_tools_of_every_kind(make_settings, site, emulator, worker_of):
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    settings = make_settings(
        emulator.base_url,
        tools={"reverse": f"{__name__}:reverse", "weather": {"url": f"{site}/{{city}}", "parameters": parameters}},
        mcp={"demo": {"command": [sys.executable, mcp_server.__file__]}},
    )
    worker = worker_of(settings)
    result = await worker.run("[[scenario=parallel_tools]]\nabc", tools=["reverse", "weather", "demo__greet"])

    assert (result.state, result.runs) == (JobState.SUCCEEDED, 1)
    backwards, http, hello = emulator.tool_outputs()
    assert backwards == "cba"
    assert json.loads(http)["path"] == "/abc%202"
    assert hello == "hello, abc 3"
    await worker.run("[[scenario=tools tool=SEARCH]]\nabc")
    assert emulator.tool_outputs()[-1].startswith("Emulated search results for: abc"), "the platform's own, besides"


async def test_a_cap_on_a_function_holds_even_when_a_call_is_overdue(until):
    """A sync function cannot be stopped: its slot is free when it has ended, not when its time is up."""
    tool = registry.make("slow", FunctionSettings(function=f"{__name__}:slow", concurrency=1), None)
    for _ in range(2):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await tool.call({})
        await asyncio.to_thread(until, lambda: RUNNING)
    assert RUNNING == [1], "the second waited for the first, overdue as that is, and its wait counts"

    ENDED.set()
    assert await tool.call({}) == "done"
    assert RUNNING == [1, 1]


ENDED = threading.Event()
RUNNING: list[int] = []
ALONE = threading.Lock()


def slow() -> str:
    assert ALONE.acquire(blocking=False), "two at a time"
    RUNNING.append(1)
    ENDED.wait(5)
    ALONE.release()
    return "done"
