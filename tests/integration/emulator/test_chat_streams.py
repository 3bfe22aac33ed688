"""The chunks of streamed chat completions."""

import json
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletionChunk
from tests.integration.emulator.test_chat import LOOK_UP, outputs, stats, until, user

from threadmill_emulator.scripting.options import Options
from threadmill_emulator.testing import Running

pytestmark = pytest.mark.integration
OPTIONS = Options(run_s=0.05)


def streamed(client: OpenAI, *messages: Any, **more: Any) -> list[ChatCompletionChunk]:
    return list(client.chat.completions.create(model="m", messages=list(messages), stream=True, **more))


def written(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def test_the_chunks_of_an_answer(client: OpenAI):
    first, *between, last = streamed(client, user("[[scenario=echo]] One two three"))
    assert first.choices[0].delta.role == "assistant"
    assert [chunk.choices[0].delta.content for chunk in between] == ["One", " two", " three"]
    assert last.choices[0].finish_reason == "stop"
    assert len({chunk.id for chunk in (first, *between, last)}) == 1
    assert last.usage is None


def test_usage_comes_last_if_it_is_asked_for(client: OpenAI):
    *others, last = streamed(client, user("Hello"), stream_options={"include_usage": True})
    assert (last.choices, last.usage.total_tokens > 0) == ([], True)
    assert all(chunk.usage is None for chunk in others)


def test_the_bytes_end_with_done(http: httpx.Client):
    body = {"model": "emulator-echo", "messages": [user("Hello")], "stream": True}
    reply = http.post("/chat/completions", json=body)
    assert reply.headers["content-type"].startswith("text/event-stream")
    frames = reply.text.split("\n\n")
    assert frames[-2:] == ["data: [DONE]", ""]
    assert all(json.loads(frame.removeprefix("data: "))["object"] == "chat.completion.chunk" for frame in frames[:-2])


def test_tool_calls_are_assembled_by_their_index(client: OpenAI):
    asked = user("[[scenario=parallel_tools]] heron")
    with client.chat.completions.stream(model="m", messages=[asked], tools=[LOOK_UP]) as stream:
        (choice,) = stream.get_final_completion().choices
    assert choice.finish_reason == "tool_calls"
    calls: Any = choice.message.tool_calls
    assert [json.loads(call.function.arguments)["word"] for call in calls] == ["heron", "heron 2", "heron 3"]
    sent = [{key: value for key, value in message.items() if key != "parsed"} for message in outputs(choice)]
    for call in sent[0]["tool_calls"]:
        del call["index"], call["function"]["parsed_arguments"]
    assert "found" in written(streamed(client, asked, *sent, tools=[LOOK_UP]))


def test_the_number_of_deltas(client: OpenAI):
    assert len(streamed(client, user("[[scenario=echo deltas=30]] " + "word " * 30))) == 32


def test_a_refusal(client: OpenAI):
    chunks = streamed(client, user("[[scenario=refusal]] x"))
    assert "".join(chunk.choices[0].delta.refusal or "" for chunk in chunks).endswith("help with that.")


@pytest.mark.parametrize(("scenario", "reason"), [("incomplete", "length"), ("content_filter", "content_filter")])
def test_endings(client: OpenAI, scenario: str, reason: str):
    assert streamed(client, user(f"[[scenario={scenario}]] x"))[-1].choices[0].finish_reason == reason


@pytest.mark.parametrize("scenario", ["failed", "stream_error"])
def test_a_failure_is_an_error_in_the_stream(client: OpenAI, scenario: str):
    with pytest.raises(openai.APIError, match="something went wrong") as caught:
        streamed(client, user(f"[[scenario={scenario}]] x"))
    assert not isinstance(caught.value, openai.APIStatusError)


def test_a_stream_without_an_end(client: OpenAI):
    chunks = streamed(client, user("[[scenario=stream_no_done]] x"))
    assert written(chunks)
    assert all(chunk.choices[0].finish_reason is None for chunk in chunks)


def test_a_stream_that_breaks(client: OpenAI):
    with pytest.raises(openai.APIConnectionError):
        streamed(client, user("[[scenario=stream_drops run_s=0.3]] one two three four five six"))


def test_json_in_place_of_a_stream(http: httpx.Client):
    body = {"model": "m", "messages": [user("[[scenario=stream_json]] x")], "stream": True}
    assert http.post("/chat/completions", json=body).json()["object"] == "chat.completion"


def test_a_client_that_hangs_up_stops_the_work(client: OpenAI, server: Running):
    chunks = client.chat.completions.create(model="m", messages=[user("[[run_s=60 deltas=600]] x " * 300)], stream=True)
    next(iter(chunks))
    assert stats(server)["completions"]["active"] == 1
    chunks.close()
    until(lambda: stats(server)["completions"]["by_status"] == {"hung_up": 1})


def test_a_dropped_stream_is_not_in_flight(client: OpenAI, server: Running):
    httpx.post(f"{server.url}/_faults", json={"drop_after": 1, "times": 1})
    with pytest.raises(openai.APIConnectionError):
        streamed(client, user("[[run_s=60]] x"))
    assert stats(server)["completions"]["active"] == 0
