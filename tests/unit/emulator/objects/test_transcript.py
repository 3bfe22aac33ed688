"""Whenever a run is cancelled, and however rarely it is looked at, what is told of it is one whole story."""

import json
from typing import Any

import pytest

from threadmill_emulator.content.frames import Listener
from threadmill_emulator.content.messages import Message
from threadmill_emulator.objects.transcript import Transcript
from threadmill_emulator.schemas.runs import CreateRun
from threadmill_emulator.schemas.threads import CreateThread
from threadmill_emulator.scripting.options import Options
from threadmill_emulator.state.server_state import ServerState

ENDS = ("completed", "incomplete", "failed", "cancelled", "expired")
Event = tuple[str, dict[str, Any]]


class Told:
    """A run that is listened to, on a clock of its own."""

    def __init__(self, marker: str) -> None:
        self.now = 100.0
        self.state = ServerState(lambda: self.now, Options(run_s=10))
        message = {"role": "user", "content": f"[[{marker}]]Herons eat fish, 蒼鷺吃魚."}
        self.thread = self.state.create_thread(CreateThread.model_validate({"messages": [message]}))
        self.run = self.state.start_run(self.thread, CreateRun(assistant_id="asst_emulator"))
        self.events: list[Event] = []
        self.listen()

    def listen(self) -> None:
        self.transcript = Transcript(self.run, lambda: self.state.plan_work(self.thread, self.run))
        self.listener = Listener(self.transcript)
        self.run.on_change = self.transcript.changed
        self.run.on_change(self.now)

    def at(self, now: float) -> None:
        self.now = now
        self.state.advance(self.thread)
        for frame in self.listener.due(now).decode().split("\n\n")[:-1]:
            event, _, data = frame.partition("\ndata: ")
            self.events.append((event.removeprefix("event: "), json.loads(data)))

    def names(self) -> list[str]:
        return [name for name, _ in self.events]

    def answers(self) -> list[Message]:
        return [message for message in self.thread.messages.values() if message.role == "assistant"]


def check(told: Told) -> None:
    """All that was begun is ended, in order, and adds up to what stands on the thread."""
    begun: list[str] = []
    said: dict[str, str] = {}
    for name, data in told.events:
        _, _, status = name.rpartition(".")
        if name.startswith(("thread.run.step.", "thread.message.")):
            if status == "created":
                begun.append(data["id"])
            elif status in ENDS:
                begun.remove(data["id"])
            else:
                assert data["id"] in begun
        if name == "thread.message.delta":
            for part in data["delta"]["content"]:
                said[data["id"]] = said.get(data["id"], "") + part.get("text", {}).get("value", "")
    assert begun == []
    kept = {
        message.id: "".join(b["text"]["value"] for b in message.blocks() if b["type"] == "text")
        for message in told.answers()
    }
    assert {id: text for id, text in kept.items() if text} == {id: text for id, text in said.items() if text}
    assert told.names()[-1] == f"thread.run.{told.run.status}"
    assert told.listener.ended


SCENARIOS = ["emulator", "two_messages", "blocks", "plot", "code_interpreter", "incomplete", "failed", "refusal"]


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("step", [0.1, 3.0, 100.0])
def test_the_events_do_not_depend_on_how_often_they_are_read(scenario: str, step: float):
    seldom, often = Told(f"scenario={scenario}"), Told(f"scenario={scenario}")
    seldom.at(200.0)
    while often.now < 200:
        often.at(often.now + step)
    check(seldom)
    check(often)
    assert seldom.names() == often.names()


@pytest.mark.parametrize("scenario", [*SCENARIOS, "tools"])
@pytest.mark.parametrize("ends", ["cancelled", "completed", "failed", "incomplete"])
def test_a_cancel_at_any_moment_ends_what_was_begun(scenario: str, ends: str):
    for tenths in range(0, 98, 3):
        told = Told(f"scenario={scenario} cancel_s=3 cancel_ends={ends}")
        told.at(100 + tenths / 10)
        if told.run.is_terminal or told.run.status == "requires_action":
            continue
        told.run.cancel(told.now)
        told.at(150.0)
        check(told)
        assert told.run.status == ends


@pytest.mark.parametrize("expires_s", [0.5, 2, 5, 9.9])
def test_expiry_in_the_middle(expires_s: float):
    told = Told(f"scenario=plot expires_s={expires_s}")
    told.at(200.0)
    check(told)
    assert told.run.status == "expired"


def test_each_tool_round_has_its_own_stream():
    told = Told("scenario=tool_rounds n=2")
    for _ in range(2):
        told.at(told.now + 10)
        assert told.names()[-1] == "thread.run.requires_action"
        assert told.listener.ended
        told.run.submit({call.id: "42" for call in told.run.rounds[-1].calls}, told.now)
        told.listen()
    told.at(told.now + 10)
    assert told.names()[-1] == "thread.run.completed"
    assert told.names().count("thread.run.step.created") == 3
