"""Drivers report the rate limits that the last reply named, whatever its form."""

import json
from typing import Any

import aiohttp
import httpx2
import pytest
from tests.answering import client_of

from threadmill import PromptJob
from threadmill.settings.endpoints.endpoint import Endpoint
from threadmill_worker.attempt.context.contexts import DRIVERS
from threadmill_worker.drivers.base.capabilities import Capabilities
from threadmill_worker.drivers.base.connection import Connection
from threadmill_worker.drivers.base.wire_driver import WireDriver
from threadmill_worker.drivers.replies.rate_limits import RateInfo
from threadmill_worker.drivers.requests.job_spec import JobSpec
from threadmill_worker.drivers.streaming.stream import StreamSlots
from threadmill_worker.lifecycle.actions import PollRun, StartRun
from threadmill_worker.lifecycle.observations import NotSent, RunObservation, Unknown
from threadmill_worker.lifecycle.progress import Progress
from threadmill_worker.live.buffer import EventBuffer

PROGRESS = Progress(deadline_at=0, messages=1, thread_id="thread_1")
NAMED = {"x-ratelimit-limit-requests": "60", "x-ratelimit-remaining-requests": "59"}
INFO = RateInfo(requests_limit=60, requests_remaining=59)
RUNS = {
    "assistants": ("thread.run.created", {"id": "run_1", "object": "thread.run", "status": "queued"}),
    "responses": ("response.created", {"id": "resp_1", "object": "response", "status": "queued", "background": True}),
}
#: A run of Chat Completions is one call, which is never polled.
CALL = {"id": "c", "choices": [{"finish_reason": "stop", "message": {"content": "Hello"}}]}
ALL = RUNS | {"chat": ("", CALL)}


class Server:
    """Answers each call with the next of its replies; an exception is raised instead."""

    def __init__(self, wire: str, *replies: httpx2.Response | Exception) -> None:
        endpoint = Endpoint(kind=wire, base_url="http://server/v1", assistant="asst_1", model="m")
        self.replies = list(replies)
        client = client_of(self._reply, endpoint)
        transfer: Any = None  # no files
        self._connection = Connection("e", endpoint, client, transfer, StreamSlots(1), Capabilities(background=True))

    def driver(self, *, stream: bool = False) -> WireDriver:
        spec = JobSpec("job", PromptJob.parse({"prompt": "Hi", "stream": stream}), "e", assistant="asst_1", model="m")
        return DRIVERS[self._connection.endpoint.wire](self._connection, spec, EventBuffer())

    def _reply(self, request: httpx2.Request) -> httpx2.Response:
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply


def run_reply(wire: str, headers: dict[str, str] = NAMED) -> httpx2.Response:
    return httpx2.Response(200, json=ALL[wire][1], headers=headers)


def event_stream(wire: str) -> httpx2.Response:
    event, run = ALL[wire]
    data = {"type": event, "response": run} if wire == "responses" else run
    if wire == "chat":
        data = {"id": "c", "choices": [{"finish_reason": "stop", "delta": {"content": "Hello"}}]}
    text = f"event: {event}\ndata: {json.dumps(data)}\n\n"
    return httpx2.Response(200, text=text, headers=NAMED | {"content-type": "text/event-stream"})


@pytest.fixture(params=sorted(ALL))
def wire(request):
    return request.param


async def test_a_started_run_names_the_limits(wire):
    driver = Server(wire, run_reply(wire)).driver()
    assert isinstance(await driver.do(StartRun(1), PROGRESS), RunObservation)
    assert driver.rate_info == INFO


async def test_a_streamed_run_names_the_limits(wire):
    driver = Server(wire, event_stream(wire)).driver(stream=True)
    assert isinstance(await driver.do(StartRun(1), PROGRESS), RunObservation)
    assert driver.rate_info == INFO
    await driver.close()


async def test_a_refusal_names_the_limits(wire):
    driver = Server(wire, httpx2.Response(429, json={"error": {"message": "slow down"}}, headers=NAMED)).driver()
    assert isinstance(await driver.do(StartRun(1), PROGRESS), NotSent)
    assert driver.rate_info == INFO


async def test_a_server_may_name_no_limits(wire):
    driver = Server(wire, run_reply(wire, {})).driver()
    await driver.do(StartRun(1), PROGRESS)
    assert driver.rate_info is None


@pytest.mark.parametrize("wire", sorted(RUNS), indirect=True)
@pytest.mark.parametrize("later", ["poll", "lost"])
async def test_only_the_last_reply_counts(wire, later):
    lost = aiohttp.ServerDisconnectedError()
    driver = Server(wire, run_reply(wire), run_reply(wire, {}) if later == "poll" else lost).driver()
    await driver.do(StartRun(1), PROGRESS)
    seen = await driver.do(PollRun(RUNS[wire][1]["id"]), PROGRESS)
    assert isinstance(seen, RunObservation if later == "poll" else Unknown)
    assert driver.rate_info is None
