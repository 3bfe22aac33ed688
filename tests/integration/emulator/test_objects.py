"""Every route and object of the emulator, through the openai package's strict validation."""

import asyncio
import re
from collections.abc import AsyncIterator

import httpx
import openai
import pytest
from openai import AsyncAzureOpenAI, AsyncOpenAI

from threadmill_emulator.scripting.options import Options
from threadmill_emulator.testing import Running

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:.*Assistants API is deprecated.*:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning"),
]
OPTIONS = Options(run_s=0.05, poll_after_ms=20)

PIXEL = "data:image/png;base64,iVBORw0KGgo="
FUNCTION = {
    "type": "function",
    "function": {"name": "look_up", "parameters": {"type": "object", "properties": {"word": {"type": "string"}}}},
}


@pytest.fixture
async def client(server: Running) -> AsyncIterator[AsyncOpenAI]:
    server.emulator.reset()
    async with AsyncOpenAI(
        base_url=server.base_url, api_key="k", max_retries=0, _strict_response_validation=True
    ) as client:
        yield client


async def ended(client: AsyncOpenAI, run):
    while run.status in ("queued", "in_progress", "cancelling"):
        await asyncio.sleep(0.01)
        run = await client.beta.threads.runs.retrieve(run.id, thread_id=run.thread_id)
    return run


async def test_the_plain_flow(client: AsyncOpenAI, server: Running):
    threads = client.beta.threads
    thread = await threads.create(metadata={"job": "1"})
    assert re.fullmatch(r"thread_\w{24}", thread.id)
    message = await threads.messages.create(thread.id, role="user", content="What is a heron?", metadata={"a": "b"})
    assert (message.run_id, message.role, message.metadata) == (None, "user", {"a": "b"})
    run = await threads.runs.create(
        thread.id, assistant_id="asst_emulator", additional_instructions="The current time is: now", metadata={"j": "1"}
    )
    assert (run.status, run.usage, run.expires_at) == ("queued", None, run.created_at + 601)
    assert run.instructions == "The current time is: now"
    run = await ended(client, run)
    assert (run.status, run.expires_at, run.metadata) == ("completed", None, {"j": "1"})
    assert run.usage
    assert run.usage.total_tokens == run.usage.prompt_tokens + run.usage.completion_tokens > 20
    page = await threads.messages.list(thread.id, run_id=run.id)
    (answer,) = page.data
    assert (answer.run_id, answer.assistant_id, answer.role) == (run.id, "asst_emulator", "assistant")
    assert "What is a heron?" in answer.content[0].text.value
    deleted = await threads.delete(thread.id)
    assert (deleted.id, deleted.deleted, deleted.object) == (thread.id, True, "thread.deleted")
    with pytest.raises(openai.NotFoundError):
        await threads.retrieve(thread.id)


async def test_the_packages_own_poll_helper_is_served(client: AsyncOpenAI):
    run = await client.beta.threads.create_and_run_poll(
        assistant_id="asst_echo", thread={"messages": [{"role": "user", "content": "hello"}]}
    )
    assert run.status == "completed"
    messages = [m async for m in client.beta.threads.messages.list(run.thread_id)]
    assert [m.content[0].text.value for m in messages] == ["hello", "hello"]
    assert [m.role for m in messages] == ["assistant", "user"]


async def test_threads_can_be_read_and_modified(client: AsyncOpenAI):
    thread = await client.beta.threads.create(
        tool_resources={"code_interpreter": {"file_ids": []}, "file_search": {"vector_stores": [{}]}}
    )
    assert thread.tool_resources.file_search.vector_store_ids[0].startswith("vs_")
    changed = await client.beta.threads.update(thread.id, metadata={"x": "y"})
    assert changed.metadata == {"x": "y"}
    assert (await client.beta.threads.retrieve(thread.id)) == changed


async def test_messages_of_every_kind(client: AsyncOpenAI):
    file = await client.files.create(file=("pixel.png", b"\x89PNG"), purpose="vision")
    parts = [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": PIXEL}},
        {"type": "image_file", "image_file": {"file_id": file.id}},
    ]
    attachments = [{"file_id": file.id, "tools": [{"type": "file_search"}, {"type": "code_interpreter"}]}]
    thread = await client.beta.threads.create()
    messages = client.beta.threads.messages
    message = await messages.create(thread.id, role="user", content=parts, attachments=attachments)
    assert [block.type for block in message.content] == ["text", "image_url", "image_url", "image_file"]
    assert message.attachments[0].file_id == file.id
    assert (await messages.list(thread.id)).data == [message]
    run = await ended(client, await client.beta.threads.runs.create(thread.id, assistant_id="asst_emulator"))
    text = (await messages.list(thread.id, run_id=run.id)).data[0].content[0].text.value
    assert "- Images: https://example.com/a.png; image/png, 8 bytes; pixel.png, image/png, 4 bytes" in text
    assert "- Files: pixel.png" in text


async def test_lists_are_paged_both_ways(client: AsyncOpenAI):
    thread = await client.beta.threads.create()
    for number in range(5):
        await client.beta.threads.messages.create(thread.id, role="user", content=str(number))

    async def texts(**query) -> tuple[list[str], bool]:
        page = await client.beta.threads.messages.list(thread.id, **query)
        return [m.content[0].text.value for m in page.data], page.has_more

    all_of_them = await client.beta.threads.messages.list(thread.id, order="asc")
    ids = [m.id for m in all_of_them.data]
    assert await texts() == (["4", "3", "2", "1", "0"], False)
    assert await texts(limit=2) == (["4", "3"], True)
    assert await texts(limit=2, order="asc") == (["0", "1"], True)
    assert await texts(limit=2, order="asc", after=ids[1]) == (["2", "3"], True)
    assert await texts(limit=2, order="asc", before=ids[3]) == (["1", "2"], True)
    paged = [m.content[0].text.value async for m in client.beta.threads.messages.list(thread.id, limit=2)]
    assert paged == ["4", "3", "2", "1", "0"]
    empty = await client.beta.threads.create()
    page = await client.beta.threads.messages.list(empty.id)
    assert (page.data, page.has_more) == ([], False)


async def test_runs_take_every_field(client: AsyncOpenAI):
    thread = await client.beta.threads.create()
    run = await client.beta.threads.runs.create(
        thread.id,
        assistant_id="asst_emulator",
        model="some-model",
        instructions="Be brief.",
        additional_instructions="In English.",
        additional_messages=[{"role": "user", "content": "hi"}],
        tools=[{"type": "code_interpreter"}, {"type": "file_search"}, FUNCTION],
        metadata={"a": "b"},
        temperature=0.5,
        top_p=1,
        max_prompt_tokens=256,
        max_completion_tokens=300,
        truncation_strategy={"type": "last_messages", "last_messages": 3},
        tool_choice={"type": "file_search"},
        parallel_tool_calls=False,
        reasoning_effort="low",
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": FUNCTION["function"]}},
    )
    assert (run.model, run.instructions, run.temperature, run.max_prompt_tokens) == (
        "some-model",
        "Be brief.\nIn English.",
        0.5,
        256,
    )
    assert (run.parallel_tool_calls, run.truncation_strategy.last_messages, len(run.tools)) == (False, 3, 3)
    runs = await client.beta.threads.runs.list(thread.id)
    assert [r.id for r in runs.data] == [run.id]


async def test_a_json_answer_when_json_is_asked_for(client: AsyncOpenAI):
    schema = FUNCTION["function"]["parameters"]
    run = await client.beta.threads.create_and_run_poll(
        assistant_id="asst_emulator",
        thread={"messages": [{"role": "user", "content": "heron"}]},
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": schema}},
    )
    page = await client.beta.threads.messages.list(run.thread_id, run_id=run.id)
    assert page.data[0].content[0].text.value == '{"word": "heron"}'


async def test_steps(client: AsyncOpenAI):
    runs = client.beta.threads.runs
    run = await ended(client, await client.beta.threads.create_and_run(assistant_id="asst_tools"))
    assert run.status == "requires_action"
    (step,) = (await runs.steps.list(run.id, thread_id=run.thread_id)).data
    assert (step.type, step.status, step.step_details.tool_calls[0].function.output) == (
        "tool_calls",
        "in_progress",
        None,
    )
    (call,) = run.required_action.submit_tool_outputs.tool_calls
    outputs = [{"tool_call_id": call.id, "output": "42"}]
    run = await runs.submit_tool_outputs(run.id, thread_id=run.thread_id, tool_outputs=outputs)
    run = await ended(client, run)
    written, asked = (await runs.steps.list(run.id, thread_id=run.thread_id)).data
    assert (asked.status, asked.step_details.tool_calls[0].function.output) == ("completed", "42")
    assert written.step_details.message_creation.message_id.startswith("msg_")


async def test_assistants(client: AsyncOpenAI):
    assistants = client.beta.assistants
    made = await assistants.create(
        model="m",
        name="n",
        description="d",
        instructions="i",
        tools=[FUNCTION],
        metadata={"backend_id": "default"},
        temperature=0.1,
        response_format={"type": "json_object"},
    )
    assert made.tools[0].function.name == "look_up"
    assert await assistants.retrieve(made.id) == made
    changed = await assistants.update(made.id, instructions="j")
    assert (changed.instructions, changed.name) == ("j", "n")
    run = await client.beta.threads.create_and_run(assistant_id=made.id, response_format="auto")
    assert (run.model, run.instructions, run.tools[0].function.name) == ("m", "j", "look_up")
    listed = [assistant.id async for assistant in assistants.list(limit=10)]
    assert {made.id, "asst_echo", "asst_tools", "asst_emulator"} <= set(listed)
    assert (await assistants.delete(made.id)).object == "assistant.deleted"
    with pytest.raises(openai.NotFoundError, match=f"No assistant found with id '{made.id}'."):
        await assistants.retrieve(made.id)


async def test_files(client: AsyncOpenAI):
    made = await client.files.create(
        file=("報告.txt", "內容".encode()),
        purpose="assistants",
        expires_after={"anchor": "created_at", "seconds": 3600},
    )
    assert (made.filename, made.bytes, made.expires_at) == ("報告.txt", 6, made.created_at + 3600)
    other = await client.files.create(file=("b.txt", b"b"), purpose="user_data")
    assert await client.files.retrieve(made.id) == made
    assert [file.id async for file in client.files.list()] == [other.id, made.id]
    assert [file.id async for file in client.files.list(purpose="assistants")] == [made.id]
    assert (await client.files.content(made.id)).read() == "內容".encode()
    assert (await client.files.delete(made.id)).deleted
    with pytest.raises(openai.NotFoundError):
        await client.files.content(made.id)


async def test_headers_and_models(client: AsyncOpenAI, server: Running):
    raw = await client.beta.threads.with_raw_response.create()
    assert raw.headers["x-request-id"].startswith("req_")
    assert float(raw.headers["openai-processing-ms"]) >= 0
    assert "openai-poll-after-ms" not in raw.headers
    run = await client.beta.threads.runs.create(raw.parse().id, assistant_id="asst_echo")
    raw = await client.beta.threads.runs.with_raw_response.retrieve(run.id, thread_id=run.thread_id)
    assert raw.headers["openai-poll-after-ms"] == "20"
    assert "emulator-1" in [model.id async for model in client.models.list()]
    async with httpx.AsyncClient() as plain:
        assert (await plain.get(f"{server.url}/v1/nope")).headers["x-request-id"]


@pytest.mark.parametrize("path", ["/v1", "/api/assts/v1"])
async def test_both_base_paths_serve_the_same_world(server: Running, path: str):
    async with AsyncOpenAI(base_url=server.url + path, api_key="k", max_retries=0) as client:
        run = await client.beta.threads.create_and_run_poll(assistant_id="asst_echo")
        assert run.status == "completed"


async def test_azures_client_finds_its_path(server: Running):
    async with AsyncAzureOpenAI(azure_endpoint=server.url, api_key="k", api_version="2024-05-01-preview") as client:
        run = await client.beta.threads.create_and_run_poll(assistant_id="asst_echo")
        assert run.status == "completed"
