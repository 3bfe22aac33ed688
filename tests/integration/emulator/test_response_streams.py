"""Streams of responses: the order of their events, and how a client takes one up again."""

from itertools import groupby
from typing import Any

import openai
import pytest
from openai import OpenAI

from threadmill_emulator.scripting.options import Options

pytestmark = pytest.mark.integration
OPTIONS = Options(run_s=0.2)

BEGUN = ["created", "queued", "in_progress"]
PART = ["content_part.added", "output_text.delta", "output_text.done", "content_part.done"]


def streamed(client: OpenAI, scenario: str, input: str = "hi there", **more: Any) -> list[Any]:
    given = {"background": True} | more
    return list(client.responses.create(model=f"emulator-{scenario}", input=input, stream=True, **given))


def names(events: list[Any]) -> list[str]:
    """Without repetitions."""
    return [name.removeprefix("response.") for name, _ in groupby(event.type for event in events)]


def item(*between: str) -> list[str]:
    return ["output_item.added", *between, "output_item.done"]


def call(kind: str, *steps: str) -> list[str]:
    return [f"{kind}.{step}" for step in steps]


@pytest.mark.parametrize(
    ("scenario", "items"),
    [
        ("echo", item(*PART)),
        ("refusal", item("content_part.added", "refusal.delta", "refusal.done", "content_part.done")),
        ("tools", item(*call("function_call_arguments", "delta", "done"))),
        (
            "reasoning",
            [
                *item(
                    "reasoning_summary_part.added",
                    *call("reasoning_summary_text", "delta", "done"),
                    "reasoning_summary_part.done",
                ),
                *item(*PART),
            ],
        ),
        (
            "code_interpreter",
            [
                *item(
                    "code_interpreter_call.in_progress",
                    *call("code_interpreter_call_code", "delta", "done"),
                    *call("code_interpreter_call", "interpreting", "completed"),
                ),
                *item(*PART),
            ],
        ),
    ],
)
def test_the_order_of_events(client: OpenAI, scenario: str, items: list[str]):
    events = streamed(client, scenario)
    assert names(events) == [*BEGUN, *items, "completed"]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    said = [event.item for event in events if event.type == "response.output_item.done"]
    assert said == events[-1].response.output
    assert client.responses.retrieve(events[-1].response.id) == events[-1].response


def test_the_deltas_add_up(client: OpenAI):
    events = streamed(client, "echo", "[[deltas=7]]Herons eat fish and frogs.", background=False)
    pieces = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert (len(pieces), "".join(pieces)) == (7, "Herons eat fish and frogs.")
    assert names(events)[:2] == ["created", "in_progress"]


@pytest.mark.parametrize(("scenario", "last"), [("failed", "failed"), ("incomplete", "incomplete")])
def test_other_ends(client: OpenAI, scenario: str, last: str):
    assert names(streamed(client, scenario))[-1] == last


def test_a_stream_that_broke_is_taken_up_again(client: OpenAI):
    heard: list[Any] = []
    text = "[[quirks=stream_drops]]a b c d e f"
    stream = client.responses.create(model="emulator-echo", input=text, stream=True, background=True)
    with pytest.raises(openai.APIConnectionError):
        heard.extend(stream)
    assert heard[-1].type == "response.output_text.delta"
    after = heard[-1].sequence_number
    rest = list(client.responses.retrieve(heard[0].response.id, stream=True, starting_after=after))
    assert [event.sequence_number for event in heard + rest] == list(range(len(heard + rest)))
    assert rest[-1].type == "response.completed"


def test_a_cancel_ends_the_stream(client: OpenAI):
    heard: list[Any] = []
    for event in client.responses.create(
        model="emulator-echo", input="[[run_s=60 deltas=30]]" + "word " * 30, stream=True, background=True
    ):
        heard.append(event)
        client.responses.cancel(heard[0].response.id)
    assert "response.completed" not in [event.type for event in heard]
    assert client.responses.retrieve(heard[0].response.id).status == "cancelled"


def test_a_stream_may_end_in_an_error_or_without_an_end(client: OpenAI):
    assert "completed" not in names(streamed(client, "stream_no_done"))
    assert names(streamed(client, "stream_error"))[-1] == "error"
