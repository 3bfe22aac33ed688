"""Responses, conversations and containers, through the openai package's strict validation."""

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI

from threadmill_emulator.scripting.options import Options
from threadmill_emulator.testing import Running

pytestmark = pytest.mark.integration
OPTIONS = Options(run_s=0.05)

PIXEL = "data:image/png;base64,iVBORw0KGgo="
LOOK_UP: Any = {
    "type": "function",
    "name": "look_up",
    "parameters": {"type": "object", "properties": {"word": {"type": "string"}}},
}
EVERYTHING: Any = ["code_interpreter_call.outputs", "file_search_call.results"]


@pytest.fixture
def client(server: Running) -> Iterator[OpenAI]:
    server.emulator.reset()
    url = f"{server.url}/openai/v1"
    with OpenAI(base_url=url, api_key="k", max_retries=0, _strict_response_validation=True) as client:
        yield client


def ended(client: OpenAI, response: Any) -> Any:
    while response.status in ("queued", "in_progress"):
        time.sleep(0.01)
        response = client.responses.retrieve(response.id, include=EVERYTHING)
    return response


def answered(client: OpenAI, input: Any, model: str = "emulator", **more: Any) -> Any:
    return ended(client, client.responses.create(model=model, input=input, background=True, **more))


def outputs(response: Any, text: str = "found") -> Any:
    calls = [item for item in response.output if item.type == "function_call"]
    return [{"type": "function_call_output", "call_id": call.call_id, "output": text} for call in calls]


def test_the_plain_flow(client: OpenAI):
    response = client.responses.create(
        model="gpt-x",
        input="What is a heron?",
        instructions="Be brief.",
        background=True,
        metadata={"job": "1"},
        reasoning={"effort": "low"},
        text={"format": {"type": "text"}, "verbosity": "low"},
        truncation="auto",
        max_output_tokens=500,
        max_tool_calls=3,
        temperature=0.5,
        top_p=0.9,
    )
    assert (response.status, response.output, response.usage) == ("queued", [], None)
    response = ended(client, response)
    assert (response.status, response.error, response.incomplete_details) == ("completed", None, None)
    assert (response.model, response.metadata, response.instructions) == ("gpt-x", {"job": "1"}, "Be brief.")
    assert (response.temperature, response.top_p, response.truncation) == (0.5, 0.9, "auto")
    assert (response.max_output_tokens, response.max_tool_calls) == (500, 3)
    assert response.completed_at >= response.created_at
    assert "What is a heron?" in response.output_text
    usage = response.usage
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens > 20
    client.responses.delete(response.id)
    with pytest.raises(openai.NotFoundError, match=f"Response with id '{response.id}' not found."):
        client.responses.retrieve(response.id)


def test_without_background_the_reply_is_the_answer(client: OpenAI):
    response = client.responses.create(model="emulator-echo", input="hello")
    assert (response.status, response.output_text, response.background) == ("completed", "hello", False)
    with pytest.raises(openai.BadRequestError, match="Cannot cancel a synchronous response"):
        client.responses.cancel(response.id)


@pytest.mark.parametrize(
    ("scenario", "status", "reason"),
    [
        ("failed", "failed", "server_error"),
        ("rate_limited", "failed", "rate_limit_exceeded"),
        ("quota", "failed", "rate_limit_exceeded"),
        ("invalid_prompt", "failed", "invalid_prompt"),
        ("expired", "failed", "server_error"),
        ("incomplete", "incomplete", "max_output_tokens"),
        ("content_filter", "incomplete", "content_filter"),
        ("cancelled", "cancelled", None),
    ],
)
def test_every_end(client: OpenAI, scenario: str, status: str, reason: str | None):
    by_model = answered(client, "hi", model=f"emulator-{scenario}")
    by_marker = answered(client, f"[[scenario={scenario}]]hi")
    for response in (by_model, by_marker):
        said = response.error.code if response.error else None
        said = response.incomplete_details.reason if response.incomplete_details else said
        assert (response.status, said, bool(response.output)) == (status, reason, status == "incomplete")


def test_what_fails_once_succeeds_with_the_same_input(client: OpenAI):
    ends = [answered(client, "[[scenario=failed_once]]hi").status for _ in range(2)]
    assert ends == ["failed", "completed"]


@pytest.mark.parametrize("scenario", ["stuck", "stuck_queued"])
def test_what_is_stuck_can_be_cancelled_twice(client: OpenAI, scenario: str):
    response = client.responses.create(model=f"emulator-{scenario}", input="hi", background=True)
    assert [client.responses.cancel(response.id).status for _ in range(2)] == ["cancelled", "cancelled"]
    done = answered(client, "hi")
    assert client.responses.cancel(done.id) == done


def test_function_calls_are_answered_by_the_next_response(client: OpenAI):
    given: Any = {"tools": [LOOK_UP], "instructions": "Look it up."}
    response = answered(client, "[[scenario=tool_rounds n=2 calls=2]]heron", **given)
    seen = []
    while asked := outputs(response):
        assert response.status == "completed"
        seen += [call.arguments for call in response.output]
        with pytest.raises(
            openai.BadRequestError, match=rf"No tool output found for function call {asked[1]['call_id']}"
        ):
            client.responses.create(model="m", input=asked[:1], previous_response_id=response.id)
        previous = response
        response = answered(client, asked, previous_response_id=previous.id, **given)
        assert response.previous_response_id == previous.id
    assert len(set(seen)) == 4
    assert response.output_text.count("look_up answered:\n\n> found") == 4
    alone = answered(client, "hi", previous_response_id=response.id)
    assert (alone.instructions, alone.tools) == (None, [])


def test_a_client_may_send_everything_again(client: OpenAI):
    given: Any = {"tools": [LOOK_UP], "store": False}
    said: Any = [{"role": "user", "content": "[[scenario=tools]]heron"}]
    first = answered(client, said, **given)
    second = answered(client, said + first.output + outputs(first), **given)
    assert "found" in second.output_text
    with pytest.raises(openai.BadRequestError, match="Previous response with id"):
        client.responses.create(model="m", input="hi", previous_response_id=second.id)


def test_one_call_at_a_time_and_calls_that_are_no_json(client: OpenAI):
    given: Any = {"tools": [LOOK_UP], "parallel_tool_calls": False}
    response = answered(client, "[[scenario=parallel_tools]]heron", **given)
    assert len(response.output) == 1
    broken = answered(client, "[[scenario=bad_arguments]]heron", tools=[LOOK_UP])
    with pytest.raises(json.JSONDecodeError):
        json.loads(broken.output[0].arguments)
    named = answered(client, "heron", tools=[LOOK_UP], tool_choice={"type": "function", "name": "look_up"})
    assert named.output[0].name == "look_up"


def test_a_conversation_remembers_and_is_locked_meanwhile(client: OpenAI):
    conversation = client.conversations.create(
        items=[{"type": "message", "role": "user", "content": "I like herons."}], metadata={"a": "b"}
    )
    slow = client.responses.create(model="m", input="[[run_s=60]]hi", conversation=conversation.id, background=True)
    for refused in (
        lambda: client.responses.create(model="m", input="x", conversation=conversation.id),
        lambda: client.conversations.items.create(conversation.id, items=[{"role": "user", "content": "x"}]),
    ):
        with pytest.raises(openai.BadRequestError) as refusal:
            refused()
        assert (refusal.value.code, refusal.value.param) == ("conversation_locked", "conversation")
    client.responses.cancel(slow.id)
    response = answered(client, "[[scenario=tools]]heron", conversation=conversation.id, tools=[LOOK_UP])
    assert response.conversation.id == conversation.id
    with pytest.raises(openai.BadRequestError, match="No tool output found"):
        client.responses.create(model="m", input="x", conversation=conversation.id)
    response = answered(client, outputs(response), conversation=conversation.id, tools=[LOOK_UP])
    kept = list(client.conversations.items.list(conversation.id, order="asc", limit=2))
    assert [item.type for item in kept] == ["message", "message", "function_call", "function_call_output", "message"]
    added = client.conversations.items.create(conversation.id, items=[{"role": "assistant", "content": "Yes."}])
    assert added.data[0].content[0].text == "Yes."
    assert client.conversations.delete(conversation.id).deleted
    with pytest.raises(openai.NotFoundError, match=f"Conversation with id '{conversation.id}' not found."):
        client.conversations.retrieve(conversation.id)
    assert client.responses.retrieve(response.id).id == response.id


def test_pictures_and_files_of_every_kind(client: OpenAI):
    picture = client.files.create(file=("pixel.png", b"\x89PNG"), purpose="vision")
    paper = client.files.create(file=("paper.pdf", b"%PDF"), purpose="user_data")
    content = [
        {"type": "input_text", "text": "look"},
        {"type": "input_image", "image_url": "https://example.com/a.png", "detail": "low"},
        {"type": "input_image", "image_url": PIXEL},
        {"type": "input_image", "file_id": picture.id},
        {"type": "input_file", "file_id": paper.id},
        {"type": "input_file", "filename": "b.txt", "file_data": "data:text/plain;base64,aGk="},
        {"type": "input_file", "file_url": "https://example.com/c.pdf"},
    ]
    response = answered(client, [{"role": "user", "content": content}])
    assert "- Images: https://example.com/a.png; image/png, 8 bytes; pixel.png, image/png" in response.output_text
    assert "- Files: paper.pdf, b.txt, https://example.com/c.pdf" in response.output_text


def test_code_runs_in_a_container_whose_files_are_cited(client: OpenAI):
    numbers = client.files.create(file=("numbers.csv", b"1,2"), purpose="user_data")
    tool: Any = {"type": "code_interpreter", "container": {"type": "auto", "file_ids": [numbers.id]}}
    response = answered(client, "Plot a sine wave", model="emulator-auto", tools=[tool])
    code, message = response.output
    assert code.code.startswith("points =")
    assert [output.type for output in code.outputs] == ["logs", "image"]
    bare = client.responses.retrieve(response.id).output[0]
    assert bare.outputs is None
    (part,) = message.content
    picture, table = part.annotations
    assert (picture.start_index, picture.end_index, picture.filename) == (0, 0, "sine.png")
    assert part.text[table.start_index : table.end_index] == "sandbox:/mnt/data/sine.csv"
    container = code.container_id
    assert {picture.container_id, table.container_id} == {container}
    file = client.containers.files.retrieve(table.file_id, container_id=container)
    assert (file.path, file.source) == ("/mnt/data/sine.csv", "assistant")
    content = client.containers.files.content.retrieve(picture.file_id, container_id=container).read()
    assert content.startswith(b"\x89PNG")
    again = answered(client, "[[scenario=plot]]Now dark", previous_response_id=response.id)
    assert "I changed the earlier plot" in again.output_text
    assert again.output[0].container_id == container
    named = answered(client, "[[scenario=plot]]x", tools=[{"type": "code_interpreter", "container": container}])
    assert named.output[0].container_id == container
    client.containers.delete(container)
    with pytest.raises(openai.NotFoundError):
        client.containers.files.content.retrieve(picture.file_id, container_id=container)


def test_citations_say_file_name_and_place(client: OpenAI):
    herons = client.files.create(file=("herons.txt", b"Herons nest in trees."), purpose="assistants")
    store = client.vector_stores.create(file_ids=[herons.id])
    tool: Any = {"type": "file_search", "vector_store_ids": [store.id], "max_num_results": 3}
    response = answered(client, "Where do herons nest?", model="emulator-auto", tools=[tool])
    search, message = response.output
    assert (search.queries, search.results[0].filename) == (["Where do herons nest?"], "herons.txt")
    assert client.responses.retrieve(response.id).output[0].results is None
    (part,) = message.content
    (note,) = part.annotations
    assert (note.file_id, note.filename) == (herons.id, "herons.txt")
    assert part.text[: note.index].endswith("Herons nest in trees.")
    assert "【" not in part.text
    both = answered(client, "hi", model="emulator-blocks")
    notes = [note for part in both.output[0].content for note in part.annotations]
    assert [note.type for note in notes] == [
        "container_file_citation",
        *["file_citation"] * 2,
        "container_file_citation",
    ]


def test_answers_of_other_kinds(client: OpenAI):
    thinking, answer = answered(client, "hi", model="emulator-reasoning").output
    assert thinking.summary[0].text not in answer.content[0].text
    assert answered(client, "hi", model="emulator-refusal").output[0].content[0].type == "refusal"
    assert [item.type for item in answered(client, "hi", model="emulator-two_messages").output] == ["message"] * 2
    assert answered(client, "hi", model="emulator-empty").output == []
    schema = {"type": "object", "properties": {"bird": {"type": "string"}}}
    wanted: Any = {"format": {"type": "json_schema", "name": "birds", "schema": schema, "strict": False}}
    assert answered(client, "heron", text=wanted).output_text == '{"bird": "heron"}'


def test_statistics_count_what_is_alive(client: OpenAI, server: Running):
    conversation = client.conversations.create(metadata={})
    response = answered(client, "[[scenario=plot]]x", conversation=conversation.id, metadata={"job": "a"})
    client.responses.create(model="emulator-stuck_queued", input="x", background=True)
    stats = httpx.get(f"{server.url}/_stats?ids=1&by=job").json()
    assert stats["responses"]["created"] == 2
    assert stats["responses"]["by_status"] == {"completed": 1, "queued": 1}
    assert stats["conversations"] == {"alive": 1, "created": 1, "ids": [conversation.id]}
    assert stats["containers"]["ids"] == [response.output[0].container_id]
    assert stats["calls"]["responses.create"] == 2
    assert stats["completed_by"] == {"a": 1}
