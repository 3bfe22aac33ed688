"""Faults of Chat Completions: a run is one call, so each costs one more call at most, and is counted if it was paid."""

import asyncio
import socket
import struct
from collections.abc import Iterator

import pytest
from tests.emulated import CHAT, Emulated

from threadmill import FailureKind, JobState

ROUTE = "chat.completions.create"

#: The faults of one call, and whether its reply may have been lost on the way: the server may have done the work.
FAULTS = {
    "drop_before": True,
    "drop_after": True,
    "malformed": True,
    "html": True,
    "error_500": False,
    "error_503": False,
    "plain_500": False,
    "rate_limit_429": False,
}

TOOLS = {"beat": f"{__name__}:beat"}
WITH_A_TOOL = "[[scenario=tools tool=beat]]Well?"

BEATS: list[str] = []

pytestmark = [pytest.mark.integration, pytest.mark.endpoint(**CHAT), pytest.mark.settings(tools=TOOLS)]


def beat() -> str:
    BEATS.append("beat")
    return "beaten"


@pytest.fixture(autouse=True)
def _no_beats() -> None:
    BEATS.clear()


def asked(emulator: Emulated) -> int:
    """How many calls reached the server."""
    return len(emulator.sent("POST", "/chat/completions"))


def answered(emulator: Emulated) -> int:
    """How many calls the server worked on to their end."""
    ended = emulator.stats()["completions"]["by_status"]
    return int(sum(number for status, number in ended.items() if status != "hung_up"))


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("call", ["first", "with the outputs"])
async def test_one_fault_costs_one_more_call_and_no_tool_runs_twice(call, fault, worker, emulator, until):
    if call == "first":
        emulator.faults(**{fault: 1}, only=ROUTE, times=1, retry_after_s=0.05)
        result = await worker.run(WITH_A_TOOL, tools=["beat"])
    else:
        running = asyncio.create_task(worker.run("[[scenario=tools tool=beat run_s=0.5]]Well?", tools=["beat"]))
        await asyncio.to_thread(until, lambda: asked(emulator))
        emulator.faults(**{fault: 1}, only=ROUTE, times=1, retry_after_s=0.05)
        result = await running

    assert emulator.stats()["faults"] == {fault: 1}
    assert (result.state, result.runs, "beaten" in result.text) == (JobState.SUCCEEDED, 1, True)
    assert (BEATS, asked(emulator)) == (["beat"], 3)
    assert result.lost_runs == int(FAULTS[fault])
    assert answered(emulator) <= 2 + result.lost_runs


@pytest.mark.endpoint(**CHAT, supports={"idempotency_keys": True})
@pytest.mark.emulated(extras=frozenset({"idempotency_keys"}))
@pytest.mark.parametrize("fault", ["drop_before", "drop_after"])
async def test_a_server_that_knows_keys_is_paid_once(fault, worker, emulator):
    emulator.faults(**{fault: 1}, only=ROUTE, times=1)
    result = await worker.run("Why?")

    first, second = (request.headers["idempotency-key"] for request in emulator.sent("POST", "/chat/completions"))
    assert first == second
    assert (result.state, result.lost_runs, emulator.stats()["completions"]["created"]) == (JobState.SUCCEEDED, 0, 1)


@pytest.mark.parametrize("fault", ["rate_limit_429", "error_503"])
async def test_the_server_says_when_to_ask_again(fault, worker, emulator):
    emulator.faults(**{fault: 1}, only=ROUTE, times=1, retry_after_s=0.8)
    result = await worker.run()

    assert (result.state, result.lost_runs, asked(emulator)) == (JobState.SUCCEEDED, 0, 2)
    took_s = (result.timings.finished_at - result.timings.started_at).total_seconds()
    assert fault == "error_503" or took_s > 0.8


@pytest.mark.endpoint(**CHAT, unreachable_limit_s=0.2)
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("drop_before", FailureKind.UNREACHABLE),
        ("html", FailureKind.UNREACHABLE),
        ("error_500", FailureKind.SERVER_ERROR),
    ],
)
async def test_a_job_fails_after_a_time_without_usable_replies(fault, kind, worker, emulator):
    emulator.faults(**{fault: 1}, only=ROUTE)
    result = await worker.run()

    assert (result.state, result.failure.kind, result.failure.retryable) == (JobState.FAILED, kind, True)
    assert result.failure.message.startswith("no usable reply for ")


@pytest.mark.endpoint(**CHAT, unreachable_limit_s=0.2)
async def test_only_its_deadline_ends_a_job_that_the_server_refuses(worker, emulator):
    emulator.faults(rate_limit_429=1, retry_after_s=0.1)
    result = await worker.run(timeout_s=1)

    assert (result.failure.kind, result.runs, result.lost_runs) == (FailureKind.OVERDUE, 0, 0)
    assert "429 " in result.failure.message


@pytest.mark.parametrize("call", ["first", "with the outputs"])
async def test_a_refused_key_ends_the_job_at_once(call, worker, emulator, until):
    if call == "first":
        emulator.faults(unauthorised=1, only=ROUTE)
        result = await worker.run()
    else:
        running = asyncio.create_task(worker.run("[[scenario=tools tool=beat run_s=0.5]]Well?", tools=["beat"]))
        await asyncio.to_thread(until, lambda: asked(emulator))
        emulator.faults(unauthorised=1, only=ROUTE)
        result = await running

    assert (result.failure.kind, result.failure.retryable) == (FailureKind.UNAUTHORISED, False)
    assert emulator.stats()["faults"] == {"unauthorised": 1}, "asking again would not help"


class Wire:
    """A way to the server that breaks: the first connections are reset, the others lead there."""

    def __init__(self, url: str, breaks: str) -> None:
        self._host, self._port = url.removeprefix("http://").split(":")
        self._breaks = breaks  #: before or after the server has read the request
        self.broken = 0

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._host, self._port)
        try:
            request = await reader.read(65536)
            if self.broken == 0:
                self.broken += 1
                if self._breaks == "after":
                    back.write(request)
                    await there.read(1)  # the reply begins when the server has done the work
                _reset(writer)
                return
            back.write(request)
            await asyncio.gather(_pipe(reader, back), _pipe(there, writer))
        finally:
            back.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Ends the connection with RST."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.close()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


@pytest.mark.parametrize("breaks", ["before", "after"])
async def test_a_connection_is_reset(breaks, emulator, make_settings, worker_of):
    wire = Wire(emulator.url, breaks)
    server = await asyncio.start_server(wire.carry, "127.0.0.1", 0)
    async with server:
        url = emulator.base_url.replace(emulator.url, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        result = await worker_of(make_settings(url, CHAT)).run("Why?")

    assert wire.broken == 1
    assert (result.state, result.lost_runs) == (JobState.SUCCEEDED, 1)
    assert emulator.stats()["completions"]["created"] == (1 if breaks == "before" else 2)


@pytest.fixture
def free_port() -> Iterator[int]:
    """A port on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])


@pytest.mark.parametrize("unreachable_limit_s", [0.2])
async def test_a_server_that_is_not_there_costs_nothing(unreachable_limit_s, free_port, make_settings, worker_of):
    endpoint = {**CHAT, "unreachable_limit_s": unreachable_limit_s}
    result = await worker_of(make_settings(f"http://127.0.0.1:{free_port}/v1", endpoint)).run()

    assert (result.failure.kind, result.failure.retryable) == (FailureKind.UNREACHABLE, True)
    assert (result.runs, result.lost_runs) == (0, 0), "a refused connection carries no request"


@pytest.mark.parametrize("quirk", ["stream_drops", "stream_error"])
async def test_a_stream_that_breaks_costs_one_more_call(quirk, worker, emulator):
    result = await worker.run(f"[[scenario=echo quirks={quirk} times=1 deltas=10]]One two three four", stream=True)

    assert (result.state, result.text) == (JobState.SUCCEEDED, "One two three four")
    assert asked(emulator) == 2
    assert result.lost_runs == int(quirk == "stream_drops")


#: The server refuses at random, which says nothing about a rate.
@pytest.mark.endpoint(**CHAT, unreachable_limit_s=60, limits={"learn": False})
async def test_a_storm_of_faults_costs_thirty_jobs_nothing(worker, emulator):
    emulator.faults(
        drop_before=0.08, drop_after=0.08, error_500=0.08, malformed=0.08, rate_limit_429=0.08, retry_after_s=0.05
    )
    prompts = [f"[[scenario=tools tool=beat]]Question {number}?" for number in range(30)]
    results = await asyncio.gather(*(worker.run(prompt, tools=["beat"]) for prompt in prompts))

    assert sum(emulator.stats()["faults"].values()) > 10
    assert [result.failure for result in results if not result.ok] == []
    assert len(BEATS) == 30, "no tool was called twice"
    assert answered(emulator) <= 60 + sum(result.lost_runs for result in results)
