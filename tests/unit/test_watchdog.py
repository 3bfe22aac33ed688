"""The thread that watches the event loop."""

import asyncio
import faulthandler
import sys
import threading
from contextlib import suppress
from queue import SimpleQueue

import pytest
import structlog

from threadmill_worker import watchdog
from threadmill_worker.watchdog import Watchdog

#: Ends the block of the event loop.
RELEASED = threading.Event()


async def blocks() -> None:
    RELEASED.wait(60)


class Watched:
    """An event loop in a thread; `ended` gets what its watchdog ends it for."""

    def __init__(self, limit_s: float) -> None:
        self.ended: SimpleQueue[tuple[str, dict[str, object]]] = SimpleQueue()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        self.watchdog = Watchdog(self.loop, self.thread, limit_s, lambda why, **more: self.ended.put((why, more)))

    def _run(self) -> None:
        with suppress(SystemExit):
            self.loop.run_forever()

    def do(self, work, name: str) -> None:
        self.loop.call_soon_threadsafe(lambda: self.loop.create_task(work(), name=name))


@pytest.fixture
def watched(monkeypatch):
    monkeypatch.setattr(faulthandler, "dump_traceback_later", lambda after_s, exit: None)  # it would end the tests
    monkeypatch.setattr(watchdog, "TICK_S", 0.01)
    monkeypatch.setattr(watchdog, "WARN_S", 0.05)
    RELEASED.clear()
    made: list[Watched] = []

    def make(limit_s: float) -> Watched:
        made.append(Watched(limit_s))
        made[-1].watchdog.start()
        return made[-1]

    yield make
    RELEASED.set()
    for each in made:
        each.watchdog.stop()
        each.loop.call_soon_threadsafe(each.loop.stop)
        each.thread.join()
        each.loop.close()


def test_a_blocked_loop_is_ended_and_what_blocks_it_is_named(watched):
    subject = watched(limit_s=0.3)
    subject.do(blocks, "tool blocks")
    reason, place = subject.ended.get(timeout=60)

    assert reason.startswith("the event loop has been blocked for 0.3")
    assert place["task"] == "tool blocks"
    assert any(call.startswith(f"blocks ({__file__}:") for call in place["frames"])


def test_a_loop_that_has_ended_is_found(watched):
    subject = watched(limit_s=600)
    subject.loop.call_soon_threadsafe(sys.exit, 3)

    assert subject.ended.get(timeout=60) == ("the event loop has ended", {})


def test_a_loop_that_is_blocked_for_a_while_is_only_logged(watched, until):
    with structlog.testing.capture_logs() as logs:
        subject = watched(limit_s=600)
        subject.do(blocks, "tool blocks")
        blocked = until(lambda: [entry for entry in logs if entry.get("task") == "tool blocks"])
        RELEASED.set()
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0.05), subject.loop).result(60)
    entry = blocked[0]

    assert (entry["event"], entry["log_level"], entry["task"]) == ("event loop is blocked", "warning", "tool blocks")
    assert subject.ended.empty()
