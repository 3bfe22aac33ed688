"""Servers whose replies have no end: each costs its own job its own time, and nothing else."""

import asyncio
from typing import Any

import pytest
from tests.emulated import Emulated

from threadmill import FailureKind, JobState
from threadmill_emulator.app import create_app
from threadmill_emulator.options import Options
from threadmill_worker import lifecycle

pytestmark = pytest.mark.integration

#: A call without a bound would hold its test for ever.
PATIENCE_S = 30.0


class Dripping:
    """The emulator, but its replies to some requests come one byte at a time, and never end."""

    def __init__(self, app: Any, method: str, ending: str) -> None:
        self._app, self._method, self._ending = app, method, ending

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope.get("method") != self._method or not scope["path"].endswith(self._ending):
            await self._app(scope, receive, send)
            return

        async def drip(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = [each for each in message["headers"] if each[0] != b"content-length"]
                await send({**message, "headers": headers})
                return
            gone = asyncio.ensure_future(receive())
            while not gone.done():
                await send({"type": "http.response.body", "body": b" ", "more_body": True})
                await asyncio.wait((gone,), timeout=0.05)

        await self._app(scope, receive, drip)


@pytest.fixture
def dripping(serve, make_settings, worker_of, monkeypatch):
    """A worker in a hurry, and its emulator that drips."""
    monkeypatch.setattr(lifecycle, "LANDING_S", 0.5)

    def start(method: str, ending: str, **options: Any) -> tuple[Any, Emulated]:
        app = create_app(Options(**options))
        emulated = Emulated(serve(Dripping(app, method, ending)), app.state.emulator, [])
        return worker_of(make_settings(emulated.base_url, {"request_timeout_s": 0.5})), emulated

    return start


@pytest.mark.parametrize(
    ("method", "ending"),
    [("POST", "/runs"), ("POST", "/messages"), ("POST", "/cancel")],
)
async def test_a_reply_that_never_ends_holds_a_job_no_longer_than_its_deadline(dripping, method, ending):
    worker, emulator = dripping(method, ending, run_s=60)
    messages = [{"role": "user", "content": f"Remark {number}."} for number in range(33)]
    async with asyncio.timeout(PATIENCE_S):
        result = await worker.run("Well?", messages=messages, timeout_s=1)

    assert (result.state, result.failure.kind) == (JobState.FAILED, FailureKind.OVERDUE)
    assert (emulator.threads(), result.lost_threads, result.lost_runs) == (0, 0, 0), (
        "what was made is found and deleted"
    )
    assert emulator.stats()["runs"]["by_status"].keys() <= {"cancelled", "deleted"}


async def test_an_answer_that_never_ends_is_given_up_after_the_deadline(dripping):
    worker, emulator = dripping("GET", "/messages", run_s=0.05)
    async with asyncio.timeout(PATIENCE_S):
        result = await worker.run(timeout_s=1)

    assert result.failure.kind is FailureKind.OVERDUE
    assert emulator.threads() == 0


async def test_a_deletion_that_never_ends_costs_neither_the_answer_nor_the_sweep(dripping):
    worker, _ = dripping("DELETE", "", run_s=0.05)
    async with asyncio.timeout(PATIENCE_S):
        result = await worker.run()
        await worker.process._sweep.tidy()

    assert result.ok
    assert [each.kind for each in worker.client.leftovers()] == ["thread"]
