"""What differs between servers of Chat Completions: streams, tool calls, options, reasoning.

test_on_every_server.py has what users do on servers of all kinds.
"""

import pytest
from tests.integration.worker.servers.endpoints import CHAT_SERVERS

from threadmill import FailureKind, JobState

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module", params=CHAT_SERVERS)
def server(request):
    return request.param


def bodies(emulator):
    return [each.json for each in emulator.sent("POST", "/chat/completions")]


@pytest.mark.parametrize("stream", [False, True])
async def test_rounds_of_tools(stream, worker, emulator):
    prompt = "[[scenario=tool_rounds n=2 tool=beat run_s=0.1]]Well?"
    result = await worker.run(prompt, tools=["beat"], stream=stream, include_steps=True)

    assert (result.state, result.failure, result.runs) == (JobState.SUCCEEDED, None, 1)
    assert result.text.count("> beaten") == 2
    assert [step["output"] for step in result.steps if step["type"] == "function"] == ["beaten"] * 2
    assert len(bodies(emulator)) == 3


@pytest.mark.parametrize("stream", [False, True])
async def test_tools_at_the_same_time(stream, worker):
    result = await worker.run("[[scenario=tools calls=3 tool=beat]]Well?", tools=["beat"], stream=stream)
    assert (result.failure, result.text.count("> beaten")) == (None, 3)


async def test_all_options_at_once(worker, emulator):
    """A server that refuses one of them is asked without it."""
    options = {"temperature": 0.5, "top_p": 0.9, "seed": 7, "max_completion_tokens": 500, "stream": True}
    result = await worker.run("Why?", tools=["beat"], parallel_tool_calls=False, **options)

    assert (result.failure, "Why?" in result.text) == (None, True)
    assert bodies(emulator)[-1]["max_tokens"] == 500


async def test_the_limit_of_tokens_cuts_the_answer(worker):
    result = await worker.run("[[scenario=incomplete]]Why?", max_completion_tokens=5)
    assert result.failure.kind is FailureKind.INCOMPLETE


async def test_reasoning_is_a_step_and_no_part_of_the_answer(server, worker, emulator):
    result = await worker.run("[[scenario=reasoning]]Why is the sky blue?", include_steps=True, stream=True)

    assert "Why is the sky blue?" in result.text
    shows = {"vllm-chat", "llama.cpp", "ollama-chat"}
    assert ("reasoning" in [step["type"] for step in result.steps]) is (server in shows)
