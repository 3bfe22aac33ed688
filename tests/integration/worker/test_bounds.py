"""Servers whose replies have no end: each costs its own job its own time, and nothing else."""

import asyncio
from typing import Any

import pytest
from tests.bomb import BOMB
from tests.emulated import Emulated

from threadmill import FailureKind, JobState
from threadmill_emulator.app import create_app
from threadmill_emulator.scripting.options import Options
from threadmill_worker.lifecycle import decide

pytestmark = pytest.mark.integration

#: A reply may have fewer bytes than usual, and takes no longer.
HURRIED = {"request_timeout_s": 0.5, "reply_limit_bytes": 1_000_000}

#: A call without a bound would hold its test for ever.
PATIENCE_S = 30.0


def replaced(app: Any, method: str, ending: str, reply: Any) -> Any:
    """The app, except that `reply(start, receive, send)` sends the replies to some requests."""

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        if scope.get("method") != method or not scope["path"].endswith(ending):
            await app(scope, receive, send)
            return

        async def replace(message: Any) -> None:
            if message["type"] == "http.response.start":
                await reply(message, receive, send)

        await app(scope, receive, replace)

    return serve


async def drip(start: Any, receive: Any, send: Any) -> None:
    """One byte at a time, without end."""
    await send({**start, "headers": []})
    gone = asyncio.ensure_future(receive())
    while not gone.done():
        await send({"type": "http.response.body", "body": b" ", "more_body": True})
        await asyncio.wait((gone,), timeout=0.05)


async def flood(start: Any, receive: Any, send: Any) -> None:
    """As much as is read, without end."""
    await send({**start, "headers": []})
    gone = asyncio.ensure_future(receive())
    while not gone.done():
        await send({"type": "http.response.body", "body": b" " * 65536, "more_body": True})
        await asyncio.sleep(0)


def sending(body: bytes, status: int | None = None, **headers: str) -> Any:
    """The same body in each reply."""

    async def reply(start: Any, receive: Any, send: Any) -> None:
        listed = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({**start, "status": status or start["status"], "headers": listed})
        await send({"type": "http.response.body", "body": body})

    return reply


@pytest.fixture
def hostile(serve, make_settings, worker_of, monkeypatch):
    """A worker in a hurry, and its emulator that sends what it likes."""
    monkeypatch.setattr(decide, "LANDING_S", 0.5)

    def start(method: str, ending: str, reply: Any, **options: Any) -> tuple[Any, Emulated]:
        app = create_app(Options(**options))
        emulated = Emulated(serve(replaced(app, method, ending, reply)), app.state.emulator, [])
        return worker_of(make_settings(emulated.base_url, HURRIED)), emulated

    return start


@pytest.mark.parametrize(
    ("method", "ending"),
    [("POST", "/runs"), ("POST", "/messages"), ("POST", "/cancel")],
)
async def test_an_endless_reply_holds_a_job_until_its_deadline(hostile, method, ending):
    worker, emulator = hostile(method, ending, drip, run_s=60)
    messages = [{"role": "user", "content": f"Remark {number}."} for number in range(33)]
    async with asyncio.timeout(PATIENCE_S):
        result = await worker.run("Well?", messages=messages, timeout_s=1)

    assert (result.state, result.failure.kind) == (JobState.FAILED, FailureKind.OVERDUE)
    assert (emulator.threads(), result.lost_threads, result.lost_runs) == (0, 0, 0), (
        "what was made is found and deleted"
    )
    assert emulator.stats()["runs"]["by_status"].keys() <= {"cancelled", "deleted"}


async def test_an_endless_answer_is_abandoned_after_the_deadline(hostile):
    worker, emulator = hostile("GET", "/messages", drip, run_s=0.05)
    async with asyncio.timeout(PATIENCE_S):
        result = await worker.run(timeout_s=1)

    assert result.failure.kind is FailureKind.OVERDUE
    assert emulator.threads() == 0


async def test_a_deletion_that_never_ends_costs_neither_the_answer_nor_the_sweep(hostile):
    worker, _ = hostile("DELETE", "", drip, run_s=0.05)
    async with asyncio.timeout(PATIENCE_S):
        result = await worker.run()
        await worker.process.clean_up()

    assert result.ok
    assert [each.kind for each in worker.client.leftovers()] == ["thread"]


EXPLODING = sending(BOMB, **{"content-encoding": "gzip"})
DEEP = sending(b'{"id": "x", "data": ' + b"[" * 100_000 + b"]" * 100_000 + b"}")
QUITE_DEEP = sending(b'{"id": "x", "data": ' + b"[" * 300 + b"]" * 300 + b"}")


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (flood, "has more than 1000000 bytes; raise reply_limit_bytes"),
        (EXPLODING, "has more than 1000000 bytes; raise reply_limit_bytes"),
        (DEEP, "nests more than 100 levels deep"),
        (QUITE_DEEP, "nests more than 100 levels deep"),
    ],
    ids=["flood", "bomb", "deep", "quite deep"],
)
@pytest.mark.parametrize(("method", "ending"), [("POST", "/runs"), ("GET", "/messages")], ids=["run", "answer"])
async def test_a_reply_that_cannot_be_read_fails_its_job_and_leaves_nothing(hostile, method, ending, reply, reason):
    worker, emulator = hostile(method, ending, reply, run_s=0.05)
    async with asyncio.timeout(PATIENCE_S):
        result = await worker.run()

    assert (result.state, result.failure.kind) == (JobState.FAILED, FailureKind.SERVER_ERROR)
    assert reason in result.failure.message
    assert (emulator.threads(), result.lost_runs) == (0, 0)


async def test_the_text_of_an_error_is_cut(hostile):
    worker, _ = hostile("POST", "/threads", sending(b"no " * 1_000_000, status=400))
    result = await worker.run()

    assert result.failure.kind is FailureKind.REJECTED
    assert result.failure.message.startswith("400 no no")


async def test_the_output_of_a_plugin_is_cut(hostile):
    worker, _ = hostile("POST", "/pluginapi", flood, run_s=0.05)
    async with asyncio.timeout(PATIENCE_S):
        result = await worker.run("[[scenario=tools]]Well?", include_steps=True)

    assert result.ok
    [step] = result.steps
    assert "[cut: the output has 1000" in step["output"]
