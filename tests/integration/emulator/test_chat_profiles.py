"""Chat completions in the guise of servers that people run."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from tests.integration.emulator.test_chat import LOOK_UP, PIXEL, user

from threadmill_emulator.__main__ import arguments, options
from threadmill_emulator.scripting.options import Options
from threadmill_emulator.scripting.profiles import PROFILES
from threadmill_emulator.testing import Running, running

pytestmark = pytest.mark.integration

CHAT = ("vllm-chat", "llama.cpp", "ollama-chat", "gemini", "anthropic")
LONG = user("[[scenario=echo]] " + "word " * 100)
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
IN_JSON = {"type": "json_schema", "json_schema": {"name": "n", "strict": True, "schema": SCHEMA}}

Serve = Callable[..., Running]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts an emulator that is like a server."""
    with ExitStack() as stack:

        def start(name: str, *extras: str) -> Running:
            chosen = PROFILES[name].options(run_s=0, extras=frozenset(extras))
            return stack.enter_context(running(chosen))

        yield start


def ask(server: Running, *messages: Any, **more: Any) -> httpx.Response:
    body = {"model": "m", "messages": list(messages) or [user("Hello")]} | more
    headers = {"Authorization": "Bearer k"}
    return httpx.post(f"{server.base_url}/chat/completions", json=body, headers=headers)


def choice(server: Running, *messages: Any, **more: Any) -> Any:
    reply = ask(server, *messages, **more)
    assert reply.status_code == 200, reply.text
    return reply.json()["choices"][0]


def chunks(server: Running, *messages: Any, **more: Any) -> list[Any]:
    lines = ask(server, *messages, stream=True, **more).text.split("\n\n")
    return [json.loads(line.removeprefix("data: ")) for line in lines if line and "[DONE]" not in line]


@pytest.mark.parametrize("name", CHAT)
def test_the_sdk_reads_an_answer_and_a_stream(serve: Serve, name: str):
    with OpenAI(base_url=serve(name).base_url, api_key="k", max_retries=0) as client:
        completion = client.chat.completions.create(model="m", messages=[user("Hello")])
        assert "Hello" in (completion.choices[0].message.content or "")
        assert completion.usage is not None
        stream = client.chat.completions.create(model="m", messages=[user("[[scenario=echo]] Hello")], stream=True)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "Hello"


@pytest.mark.parametrize("name", CHAT)
def test_what_it_lacks_is_not_found(serve: Serve, name: str):
    server = serve(name)
    routes = [("POST", "/responses"), ("POST", "/threads"), ("GET", "/files"), ("GET", "/batches"), ("GET", "/nothing")]
    headers = {"Authorization": "Bearer k", "OpenAI-Beta": "assistants=v2"}
    replies = [httpx.request(method, server.base_url + path, headers=headers) for method, path in routes]
    assert {reply.status_code for reply in replies} == {404}
    forms = {reply.text.replace(reply.request.url.path, "").replace(reply.request.method, "") for reply in replies}
    assert len(forms) <= 2, "one form, whether the emulator has the route or not"


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("vllm-chat", {"error": {"type": "BadRequestError", "param": "temperature", "code": 400}}),
        ("llama.cpp", {"error": {"type": "invalid_request_error", "code": 400}}),
        ("ollama-chat", {"error": {"type": "invalid_request_error", "param": None, "code": None}}),
        ("gemini", [{"error": {"code": 400, "status": "INVALID_ARGUMENT"}}]),
        ("anthropic", {"error": {"type": "invalid_request_error", "param": "temperature", "code": "invalid_value"}}),
    ],
)
def test_the_form_of_its_errors(serve: Serve, name: str, body: Any):
    told = ask(serve(name), temperature=9).json()
    error = told[0]["error"] if isinstance(told, list) else told["error"]
    assert "temperature" in error.pop("message")
    assert told == body


def test_failures_and_faults_have_this_form_too(serve: Serve):
    server = serve("gemini")
    assert ask(server, user("[[scenario=rate_limited]] x")).json()[0]["error"]["status"] == "RESOURCE_EXHAUSTED"
    assert chunks(server, user("[[scenario=failed]] x"))[-1][0]["error"]["status"] == "INTERNAL"
    httpx.post(f"{server.url}/_faults", json={"error_503": 1, "times": 1})
    assert ask(server).json()[0]["error"]["status"] == "UNAVAILABLE"


@pytest.mark.parametrize("name", ["vllm-chat", "llama.cpp", "ollama-chat", "anthropic"])
def test_unknown_fields_are_ignored(serve: Serve, name: str):
    parts = [{"type": "text", "text": "[[scenario=echo]] Hello", "bogus": 1}]
    assert choice(serve(name), {"role": "user", "content": parts}, bogus=1, top_k=3)["message"]["content"] == "Hello"


@pytest.mark.parametrize("field", ["seed", "store", "metadata", "bogus"])
def test_gemini_refuses_fields_by_name(serve: Serve, field: str):
    reply = ask(serve("gemini"), **{field: {} if field == "metadata" else 1 if field != "store" else True})
    assert reply.status_code == 400
    assert f'Unknown name "{field}": Cannot find field.' in reply.json()[0]["error"]["message"]


@pytest.mark.parametrize("name", CHAT)
def test_messages_in_another_order_are_taken(serve: Serve, name: str):
    messages = [user("x"), {"role": "tool", "tool_call_id": "call_1", "content": "found"}]
    assert choice(serve(name), *messages)["finish_reason"] == "stop"


@pytest.mark.parametrize("name", CHAT)
@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
def test_a_limit_cuts_an_answer(serve: Serve, name: str, limit: str):
    found = choice(serve(name), LONG, **{limit: 10})
    if name == "ollama-chat" and limit == "max_completion_tokens":
        assert found["finish_reason"] == "stop"
    else:
        assert found["finish_reason"] == "length"
        assert len(found["message"]["content"]) <= 40


@pytest.mark.parametrize("name", CHAT)
def test_structured_output(serve: Serve, name: str):
    content = choice(serve(name), user("5"), response_format=IN_JSON)["message"]["content"]
    if name == "anthropic":
        assert content.startswith("*Emulated answer")
    else:
        assert json.loads(content) == {"n": 5}


@pytest.mark.parametrize(
    ("name", "extra", "field"),
    [("vllm-chat", None, "reasoning"), ("llama.cpp", None, "reasoning_content"), ("anthropic", "think_tags", None)],
)
def test_reasoning(serve: Serve, name: str, extra: str | None, field: str | None):
    server = serve(name, *([extra] if extra else []))
    asked = user("[[scenario=reasoning]] Hello")
    message = choice(server, asked)["message"]
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks(server, asked)]
    assert "".join(delta.get("content") or "" for delta in deltas) == message["content"]
    if field:
        assert message[field].startswith("I think about")
        assert "".join(delta.get(field, "") for delta in deltas) == message[field]
    else:
        assert message["content"].startswith("<think>\nI think about")


def test_ollama_repeats_ids_and_has_few_fields(serve: Serve):
    server = serve("ollama-chat")
    replies = [ask(server, seed=1).json() for _ in range(4)]
    assert replies[0]["id"] == replies[3]["id"]
    assert replies[0].keys() == {"id", "object", "created", "model", "choices", "usage"}
    assert replies[0]["choices"][0]["message"].keys() == {"role", "content"}
    assert replies[0]["usage"].keys() == {"prompt_tokens", "completion_tokens", "total_tokens"}


def test_ollama_calls_tools_whatever_it_was_told(serve: Serve):
    server, asked = serve("ollama-chat"), user("[[scenario=parallel_tools]] heron")
    found = choice(server, asked, tools=[LOOK_UP], tool_choice="none", parallel_tool_calls=False)
    assert (found["message"]["content"], len(found["message"]["tool_calls"])) == ("", 3)
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks(server, asked, tools=[LOOK_UP])]
    assert all(delta["role"] == "assistant" and delta["content"] == "" for delta in deltas)
    calls = [call for delta in deltas for call in delta.get("tool_calls", [])]
    assert [(call["index"], json.loads(call["function"]["arguments"])["word"]) for call in calls] == [
        (0, "heron"),
        (1, "heron 2"),
        (2, "heron 3"),
    ]


def test_images(serve: Serve):
    def seen(server: Running, url: str) -> httpx.Response:
        return ask(server, {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]})

    ollama, llama = serve("ollama-chat"), serve("llama.cpp")
    assert seen(ollama, PIXEL).status_code == 200
    assert seen(ollama, "https://example.org/a.png").json()["error"]["message"] == "invalid image input"
    assert seen(llama, PIXEL).status_code == 500


def test_gemini_streams_calls_without_ids(serve: Serve):
    server, asked = serve("gemini"), user("[[scenario=parallel_tools]] heron")
    told = [chunk["choices"][0] for chunk in chunks(server, asked, tools=[LOOK_UP])]
    [calls] = [each["delta"]["tool_calls"] for each in told if "tool_calls" in each["delta"]]
    assert [(call["id"], call["index"]) for call in calls] == [("", None)] * 3
    assert told[-1]["finish_reason"] == "stop"


def test_gemini_wants_the_signature_of_a_call(serve: Serve):
    server, asked = serve("gemini"), user("[[scenario=tools]] heron")
    message = choice(server, asked, tools=[LOOK_UP])["message"]
    output = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "found"}
    assert "found" in choice(server, asked, message, output, tools=[LOOK_UP])["message"]["content"]
    del message["tool_calls"][0]["extra_content"]
    reply = ask(server, asked, message, output, tools=[LOOK_UP])
    assert (reply.status_code, "thought_signature" in reply.text) == (400, True)


def test_openai_refuses_the_signature():
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}, "extra_content": {}}
    messages = [user("x"), {"role": "assistant", "tool_calls": [call]}]
    output = {"role": "tool", "tool_call_id": "a", "content": "found"}
    with running(Options(run_s=0)) as server:
        reply = ask(server, *messages, output)
    assert reply.json()["error"]["param"] == "messages[1].tool_calls[0].extra_content"


def test_the_model_is_loaded_first(serve: Serve):
    server = serve("llama.cpp", "loading_503")
    error = {"code": 503, "message": "Loading model", "type": "unavailable_error"}
    assert ask(server).json() == {"error": error}
    assert ask(server).status_code == 200


def test_tools_that_vllm_cannot_parse(serve: Serve):
    server = serve("vllm-chat", "no_auto_tools")
    assert "--enable-auto-tool-choice" in ask(server, tools=[LOOK_UP]).json()["error"]["message"]
    assert ask(server, tools=[LOOK_UP], tool_choice="required").status_code == 200


async def test_slots(serve: Serve):
    server = serve("ollama-chat")
    async with AsyncOpenAI(base_url=server.base_url, api_key="k", max_retries=0) as client:
        asked = [user("[[run_s=0.02]] x")]
        await asyncio.gather(*(client.chat.completions.create(model="m", messages=asked) for _ in range(5)))
    assert server.emulator.state.completions.peak == 1


def test_the_limits_of_the_command_win():
    assert options(arguments(["--like", "ollama-chat"])).limits.queue == 512
    chosen = options(arguments(["--like", "ollama-chat", "--slots", "8"])).limits
    assert (chosen.slots, chosen.queue) == (8, None)


def test_a_broken_stream_of_google_is_an_error_for_the_sdk(serve: Serve):
    with OpenAI(base_url=serve("ollama-chat").base_url, api_key="k", max_retries=0) as client:
        asked: Any = [user("[[scenario=failed]] x")]
        with pytest.raises(openai.APIError, match="went wrong"):
            list(client.chat.completions.create(model="m", messages=asked, stream=True))
