"""Requests of the Responses wire, read as strictly as the types of OpenAI's own package describe them.

An item of the input has to be of exactly one kind, as `oneOf` in OpenAI's description demands. A message with an image
cannot be: whatever it holds, it is both an EasyInputMessage and an InputMessage there.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, get_args

import pytest
from openai.types.responses import ResponseInputItemParam, ResponseTextConfigParam, ToolParam
from pydantic import TypeAdapter, ValidationError

from threadmill import PromptJob
from threadmill_worker.drivers.driver import Order
from threadmill_worker.drivers.responses_requests import Requests
from threadmill_worker.progress import Progress
from threadmill_worker.views import RunView, ToolCall

PROGRESS = Progress(deadline_at=0, messages=1)
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
FORMAT = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}, "strict": True}}
KINDS = {kind.__name__: TypeAdapter(kind) for kind in get_args(ResponseInputItemParam)}


def kinds(item: Mapping[str, Any]) -> list[str]:
    """What the item is, to a reader of the input."""
    return [name for name, kind in KINDS.items() if fits(kind, item)]


def fits(kind: TypeAdapter[Any], value: object) -> bool:
    try:
        kind.validate_python(value)
    except ValidationError:
        return False
    return True


def requests(**fields: Any) -> Requests:
    job = PromptJob.parse(fields)
    return Requests(Order("job", job, model="m", tools=list(job.tools) if job.tools else None))


def texts(role: str, *parts: str) -> dict[str, Any]:
    return {"role": role, "content": [{"type": "text", "text": part} for part in parts]}


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"role": "user", "content": "Why?"}, "Why?"),
        ({"role": "assistant", "content": "So."}, "So."),
        (texts("user", "Why?"), "Why?"),
        (texts("assistant", "So."), "So."),
        (texts("assistant", "So.", "And so on."), "So.\nAnd so on."),
    ],
)
async def test_a_message_of_text_alone_is_sent_as_a_text(message, text):
    body = await requests(messages=[message], prompt="Well?").first(1, PROGRESS, None)

    first, last = body["input"]
    assert first == {"type": "message", "role": message["role"], "content": text}
    assert kinds(first) == kinds(last) == ["EasyInputMessageParam"]


async def test_a_message_with_an_image_is_sent_in_parts_that_say_all_they_must():
    messages = [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, IMAGE]}]
    body = await requests(messages=messages).first(1, PROGRESS, None)

    [message] = body["input"]
    assert kinds(message) == ["EasyInputMessageParam", "Message"]
    assert message["content"] == [
        {"type": "input_text", "text": "What is it?"},
        {"type": "input_image", "detail": "auto", "image_url": "https://example.com/a.png"},
    ]


async def test_an_output_of_a_tool_is_of_one_kind():
    body = await requests(prompt="Well?").round(PROGRESS, {"call_1": "7"}, "resp_1", None)

    assert [kinds(each) for each in body["input"]] == [["FunctionCallOutput"]]


@pytest.mark.parametrize(("store", "is_repeated"), [(True, True), (False, False)])
async def test_a_summary_of_reasoning_is_not_sent_to_a_server_that_was_not_to_store_it(store, is_repeated):
    thought = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}]}
    call = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"}
    run = RunView("resp_1", "requires_action", (ToolCall("call_1", "f", "{}"),), items=(thought, call), is_kept=False)
    progress = replace(PROGRESS, run=run, outputs={"call_1": "7"})
    order = Order("job", PromptJob.parse({"prompt": "Well?"}), model="m")
    body = await Requests(order, store=store).round(progress, progress.outputs, "resp_1", None)

    question, *middle, output = body["input"]
    assert middle == ([thought, call] if is_repeated else [call])
    assert (question["content"], output["output"]) == ("Well?", "7")
    assert all(kinds(item) for item in middle)


@pytest.mark.parametrize(
    "function", [{"name": "f"}, {"name": "f", "parameters": {"type": "object", "properties": {"a": {}}}}]
)
async def test_a_function_says_what_it_takes_even_if_that_is_nothing(function):
    tools = [{"type": "function", "function": function}]
    body = await requests(prompt="Well?", tools=tools).first(1, PROGRESS, None)

    [tool] = body["tools"]
    assert fits(TypeAdapter(ToolParam), tool)
    assert tool["parameters"]["properties"] == function.get("parameters", {}).get("properties", {})


async def test_a_format_is_flat():
    body = await requests(prompt="Well?", response_format=FORMAT).first(1, PROGRESS, None)

    assert fits(TypeAdapter(ResponseTextConfigParam), body["text"])
