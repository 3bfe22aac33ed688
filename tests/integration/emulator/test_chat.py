"""Chat completions, through the openai package's strict validation."""

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI, AzureOpenAI, OpenAI
from pydantic import BaseModel

from threadmill_emulator.scripting.options import Options
from threadmill_emulator.testing import Running

pytestmark = pytest.mark.integration
OPTIONS = Options(run_s=0.05)

PIXEL = "data:image/png;base64,iVBORw0KGgo="
LOOK_UP: Any = {
    "type": "function",
    "function": {"name": "look_up", "parameters": {"type": "object", "properties": {"word": {"type": "string"}}}},
}
STRICT: Any = {"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]}


def user(text: str) -> Any:
    return {"role": "user", "content": text}


def asked(client: OpenAI, *messages: Any, **more: Any) -> Any:
    return client.chat.completions.create(model="m", messages=list(messages), **more)


def answered(client: OpenAI, *messages: Any, **more: Any) -> Any:
    (choice,) = asked(client, *messages, **more).choices
    return choice


def outputs(choice: Any, text: str = "found") -> list[Any]:
    """The assistant's message as it came, and an output for each of its calls."""
    calls = [{"role": "tool", "tool_call_id": call.id, "content": text} for call in choice.message.tool_calls]
    return [choice.message.model_dump(), *calls]


def stats(server: Running) -> Any:
    return httpx.get(f"{server.url}/_stats").json()


def until(holds: Any) -> None:
    ends = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_the_plain_flow(client: OpenAI):
    completion = asked(client, {"role": "system", "content": "Be brief."}, user("What is a heron?"), seed=7)
    assert completion.id.startswith("chatcmpl-")
    assert (completion.object, completion.model) == ("chat.completion", "m")
    assert (completion.service_tier, completion.system_fingerprint) == ("default", "fp_emulator1")
    (choice,) = completion.choices
    assert (choice.finish_reason, choice.message.role) == ("stop", "assistant")
    assert "What is a heron?" in choice.message.content
    usage = completion.usage
    assert usage.prompt_tokens == 7
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


def test_it_takes_the_time_of_its_scenario(client: OpenAI):
    began = time.monotonic()
    asked(client, user("[[run_s=0.3]] Hello"))
    assert time.monotonic() - began >= 0.3


def test_the_model_names_the_scenario_and_a_marker_wins(client: OpenAI):
    def said(model: str, text: str) -> str | None:
        return client.chat.completions.create(model=model, messages=[user(text)]).choices[0].message.content

    assert said("emulator-echo", "Hello") == "Hello"
    assert "Emulated answer" in (said("emulator-echo", "[[scenario=emulator]] Hello") or "")


def test_a_tier_is_echoed(client: OpenAI):
    tiers = {"flex": "flex", "priority": "priority", "fast": "priority", "auto": "default"}
    assert {tier: asked(client, user("x"), service_tier=tier).service_tier for tier in tiers} == tiers
    with pytest.raises(openai.RateLimitError, match="Resource Unavailable"):
        asked(client, user("[[scenario=no_flex_capacity]] x"), service_tier="flex")


def test_rounds_of_tools(client: OpenAI):
    messages = [user("[[scenario=parallel_tools n=2]] heron")]
    for _ in range(2):
        choice = answered(client, *messages, tools=[LOOK_UP])
        assert choice.finish_reason == "tool_calls"
        assert choice.message.content is None
        assert len({call.id for call in choice.message.tool_calls}) == 3
        messages += outputs(choice)
    choice = answered(client, *messages, tools=[LOOK_UP])
    assert choice.finish_reason == "stop"
    assert choice.message.content.count("found") == 6


def test_outputs_are_counted_once(client: OpenAI, server: Running):
    messages = [user("[[scenario=tool_rounds]] heron")]
    for _ in range(3):
        messages += outputs(answered(client, *messages, tools=[LOOK_UP]))
    answered(client, *messages, tools=[LOOK_UP])
    assert stats(server)["tool_outputs"] == {"submitted": 3, "call_ids": 3, "most_for_one_call_id": 1}


def test_calls_of_earlier_turns_are_not_continued(client: OpenAI):
    first = user("[[scenario=tools]] heron")
    calls = outputs(answered(client, first, tools=[LOOK_UP]))
    answer = answered(client, first, *calls, tools=[LOOK_UP]).message.model_dump()
    again = answered(client, first, *calls, answer, user("[[scenario=tools]] stork"), tools=[LOOK_UP])
    assert json.loads(again.message.tool_calls[0].function.arguments) == {"word": "stork"}


def test_the_choice_of_a_tool(client: OpenAI):
    assert answered(client, user("[[scenario=tools]] x"), tools=[LOOK_UP], tool_choice="none").message.content
    assert answered(client, user("x"), tools=[LOOK_UP], tool_choice="required").finish_reason == "tool_calls"
    named = answered(
        client, user("x"), tools=[LOOK_UP], tool_choice={"type": "function", "function": {"name": "look_up"}}
    )
    assert named.finish_reason == "stop"
    assert named.message.tool_calls[0].function.name == "look_up"
    one = answered(client, user("[[scenario=parallel_tools]] x"), tools=[LOOK_UP], parallel_tool_calls=False)
    assert len(one.message.tool_calls) == 1


def test_the_history_is_read(client: OpenAI):
    messages = [user("My name is Ada."), {"role": "assistant", "content": "Hello Ada."}]
    recalled = answered(client, *messages, user("[[scenario=recall]] Who am I?")).message.content
    assert all(text in recalled for text in ("My name is Ada.", "Hello Ada.", "Who am I?"))


def test_images_and_files(client: OpenAI):
    parts: Any = [
        {"type": "text", "text": "Describe these."},
        {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://example.org/heron.png"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERg=="}},
    ]
    said = answered(client, {"role": "user", "content": parts}).message.content
    assert "image/png, 8 bytes; https://example.org/heron.png" in said
    assert "Files: a.pdf" in said


def test_structured_output(client: OpenAI):
    class Word(BaseModel):
        word: str
        length: int

    parsed = client.chat.completions.parse(model="m", messages=[user("heron 5")], response_format=Word)
    assert parsed.choices[0].message.parsed == Word(word="heron 5", length=5)
    json_object = answered(client, user("A json object"), response_format={"type": "json_object"})
    assert json.loads(json_object.message.content)["words"] == 3


@pytest.mark.parametrize(
    ("scenario", "reason"), [("incomplete", "length"), ("content_filter", "content_filter"), ("empty_text", "stop")]
)
def test_endings(client: OpenAI, scenario: str, reason: str):
    assert answered(client, user(f"[[scenario={scenario}]] One two three.")).finish_reason == reason


def test_a_refusal(client: OpenAI):
    message = answered(client, user("[[scenario=refusal]] x")).message
    assert (message.content, message.refusal) == (None, "I'm sorry, I can't help with that.")


@pytest.mark.parametrize(
    ("scenario", "error"),
    [
        ("failed", openai.InternalServerError),
        ("expired", openai.InternalServerError),
        ("rate_limited", openai.RateLimitError),
        ("quota", openai.RateLimitError),
        ("invalid_prompt", openai.BadRequestError),
    ],
)
def test_a_failure_is_the_reply(client: OpenAI, server: Running, scenario: str, error: type[openai.APIStatusError]):
    with pytest.raises(error):
        asked(client, user(f"[[scenario={scenario}]] x"))
    assert stats(server)["completions"]["by_status"] == {"failed": 1}


def test_a_failure_once(client: OpenAI):
    with pytest.raises(openai.InternalServerError):
        asked(client, user("[[scenario=failed_once]] x"))
    assert answered(client, user("[[scenario=failed_once]] x")).message.content


def test_a_client_that_hangs_up_stops_the_work(client: OpenAI, server: Running):
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.2).chat.completions.create(model="emulator-stuck", messages=[user("x")])
    until(lambda: stats(server)["completions"]["by_status"] == {"hung_up": 1})
    assert stats(server)["completions"]["active"] == 0


async def test_many_run_at_a_time(server: Running):
    server.emulator.reset()
    async with AsyncOpenAI(base_url=server.base_url, api_key="k", max_retries=0) as client:
        calls = (client.chat.completions.create(model="m", messages=[user("[[run_s=1]] x")]) for _ in range(20))
        await asyncio.gather(*calls)
    seen = await asyncio.to_thread(stats, server)
    assert seen["completions"] == {
        "created": 20,
        "active": 0,
        "peak": 20,
        "most_alike": 20,
        "by_status": {"completed": 20},
    }
    assert seen["calls"] == {"chat.completions.create": 20}


@pytest.mark.parametrize("path", ["/v1", "/api/assts/v1", "/openai/v1"])
def test_every_base_path(server: Running, path: str):
    with OpenAI(base_url=server.url + path, api_key="k", max_retries=0) as client:
        assert answered(client, user("x")).finish_reason == "stop"


def test_a_deployment_of_azure(server: Running):
    with AzureOpenAI(azure_endpoint=server.url, api_key="k", api_version="2024-10-21", max_retries=0) as client:
        assert answered(client, user("x")).finish_reason == "stop"


def test_models(client: OpenAI):
    ids = [model.id for model in client.models.list()]
    assert ids[0] == "emulator-1"
    assert "emulator-tools" in ids
    assert client.models.retrieve("emulator-tools").id == "emulator-tools"
    with pytest.raises(openai.NotFoundError, match="does not exist"):
        client.models.retrieve("org/unknown")


def test_limits_count_completions(client: OpenAI, server: Running):
    httpx.post(f"{server.url}/_limits", json={"requests_per_minute": 60})
    reply = client.chat.completions.with_raw_response.create(model="m", messages=[user("x")])
    assert reply.headers["x-ratelimit-limit-requests"] == "60"
    with pytest.raises(openai.RateLimitError):
        asked(client, user("x"))


def test_nothing_is_in_flight_after_the_end(client: OpenAI, server: Running):
    asked(client, user("[[used_tokens=100]] x"))
    (account,) = httpx.get(f"{server.url}/_limits").json()["accounts"]
    assert (account["in_flight"], account["peak"]) == (0, 1)


def test_a_lost_reply(client: OpenAI, server: Running):
    httpx.post(f"{server.url}/_faults", json={"drop_after": 1, "only": "chat.completions.create", "times": 1})
    with pytest.raises(openai.APIConnectionError):
        asked(client, user("x"))
    assert asked(client, user("x")).choices
    assert stats(server)["completions"]["by_status"] == {"completed": 2}


def test_a_reset_ends_no_call(client: OpenAI, server: Running):
    with ThreadPoolExecutor() as pool:
        call = pool.submit(answered, client, user("[[run_s=0.5]] x"))
        until(lambda: stats(server)["completions"]["active"])
        server.emulator.reset()
        assert call.result(20).finish_reason == "stop"
