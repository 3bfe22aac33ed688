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
from threadmill.errors import InvalidJob
from threadmill_worker.drivers.requests.job_spec import JobSpec
from threadmill_worker.drivers.responses.requests import Requests
from threadmill_worker.files.attachments import Attachments
from threadmill_worker.lifecycle.observations import RunObservation, ToolCall
from threadmill_worker.lifecycle.progress import CurrentRun, Progress, VectorStore

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
    return Requests(JobSpec("job", job, "e", model="m", tools=list(job.tools) if job.tools else None))


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


async def test_a_message_with_an_image_is_sent_in_complete_parts():
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
async def test_reasoning_is_sent_back_only_if_the_server_may_store_it(store, is_repeated):
    thought = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}]}
    call = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"}
    run = RunObservation(
        "resp_1", "requires_action", (ToolCall("call_1", "f", "{}"),), items=(thought, call), is_kept=False
    )
    progress = replace(PROGRESS, run=CurrentRun(run, 0, 0, outputs={"call_1": "7"}))
    spec = JobSpec("job", PromptJob.parse({"prompt": "Well?"}), "e", model="m")
    body = await Requests(spec, store=store).round(progress, {"call_1": "7"}, "resp_1", None)

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


SEARCHED = Progress(deadline_at=0, messages=1, store=VectorStore("vs_job", 0))


async def tool_of(tool: dict[str, Any]) -> dict[str, Any]:
    """A tool as it is sent, of a job with a file for each of the server's own tools."""
    files = Attachments((), {}, (("file-s", ("file_search",)), ("file-c", ("code_interpreter",))))
    spec = JobSpec("job", PromptJob(prompt="Well?"), "e", model="m", tools=[tool], attachments=files)
    [sent] = (await Requests(spec).first(1, SEARCHED, None))["tools"]
    return sent


@pytest.mark.parametrize(
    ("tool", "sent"),
    [
        ({"type": "file_search"}, {"vector_store_ids": ["vs_job"]}),
        ({"type": "file_search", "max_num_results": 3}, {"vector_store_ids": ["vs_job"], "max_num_results": 3}),
        (  # as the Assistants API has it
            {"type": "file_search", "file_search": {"max_num_results": 3}},
            {"vector_store_ids": ["vs_job"], "max_num_results": 3},
        ),
        ({"type": "file_search", "vector_store_ids": ["vs_1"]}, {"vector_store_ids": ["vs_job", "vs_1"]}),
        ({"type": "code_interpreter"}, {"container": {"type": "auto", "file_ids": ["file-c"]}}),
        (
            {"type": "code_interpreter", "container": {"type": "auto", "memory_limit": "4g", "file_ids": ["file-1"]}},
            {"container": {"type": "auto", "memory_limit": "4g", "file_ids": ["file-c", "file-1"]}},
        ),
    ],
)
async def test_the_files_of_a_job_are_given_to_tools_with_options_too(tool, sent):
    assert await tool_of(tool) == {"type": tool["type"], **sent}


async def test_files_for_a_container_that_is_there_are_refused():
    with pytest.raises(InvalidJob, match="files cannot be put into the container 'cntr_1'"):
        await tool_of({"type": "code_interpreter", "container": "cntr_1"})
