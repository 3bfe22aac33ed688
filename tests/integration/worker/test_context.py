"""No job is answered without what was said before it, whatever its server makes of an earlier response."""

import json
from typing import Any

import pytest

from threadmill import FailureKind, JobState
from threadmill.store.records import remote
from threadmill_cli.commands.threads import show

pytestmark = [
    pytest.mark.integration,
    pytest.mark.endpoint(wire="responses", model="emulator-1", assistant=None, max_tool_rounds=2),
    pytest.mark.settings(tools={"beat": "tests.integration.worker.test_context:beat"}),
    pytest.mark.emulated(without=frozenset({"conversations"})),
]

executed: list[str] = []


def beat() -> str:
    executed.append("beat")
    return "beaten"


def like(*extras: str, conversations: bool = False) -> pytest.MarkDecorator:
    without = frozenset() if conversations else frozenset({"conversations"})
    return pytest.mark.emulated(extras=frozenset(extras), without=without)


def bodies(emulator: Any) -> list[dict[str, Any]]:
    return [request.json for request in emulator.sent("POST", "/responses")]


#: Servers without conversations: how they treat earlier responses, and how many requests two jobs take there.
SERVERS = [
    pytest.param(2, marks=like(), id="continues"),
    pytest.param(2, marks=like("late_previous"), id="OGX"),
    pytest.param(3, marks=like("ignores_previous"), id="ignores previous responses"),
    pytest.param(2, marks=like("ignores_previous", "polling_ids"), id="LiteLLM polling"),
    pytest.param(2, marks=like("ignores_background", "ignores_previous", "stateless"), id="Ollama"),
    pytest.param(
        2, marks=like("ignores_background", "ignores_previous", "stateless", "unsupported_500"), id="LiteLLM's bridge"
    ),
    pytest.param(2, marks=like("stateless", "ignores_background", "previous_404"), id="vLLM"),
]


@pytest.mark.parametrize("requests", SERVERS)
async def test_a_later_job_on_a_thread_knows_what_was_said(requests, worker, emulator):
    first = await worker.run("My name is Ada.", keep_thread=True)
    second = await worker.run("[[scenario=recall]]Who am I?", thread=first.thread_id, keep_thread=True)

    assert (first.state, second.state) == (JobState.SUCCEEDED, JobState.SUCCEEDED)
    assert "> My name is Ada." in second.text
    assert second.thread_id == first.thread_id
    assert len(bodies(emulator)) == requests

    third = await worker.run("[[scenario=recall]]And before?", thread=first.thread_id, keep_thread=True)
    assert third.text.count("> My name is Ada.") >= 1
    assert "> Who am I?" in third.text
    assert len(bodies(emulator)) == requests + 1, "the server is known now"


@pytest.mark.parametrize("requests", SERVERS)
async def test_each_round_of_tools_knows_the_question(requests, worker, emulator):
    executed.clear()
    result = await worker.run("[[scenario=tools tool=beat]]Well?", tools=["beat"])

    assert (result.state, result.runs) == (JobState.SUCCEEDED, 1)
    assert "beaten" in result.text
    assert executed == ["beat"]
    assert len(bodies(emulator)) == requests


@like("ignores_previous")
async def test_a_round_that_is_sent_again_counts_once(worker, emulator):
    executed.clear()
    result = await worker.run("[[scenario=tool_rounds tool=beat]]Well?", tools=["beat"], include_steps=True)

    assert result.failure.kind is FailureKind.TOOL_FAILED, "of max_tool_rounds = 2, as on any server"
    assert executed == ["beat", "beat"]


@like("ignores_previous")
@pytest.mark.endpoint(max_tool_rounds=3)
async def test_steps_leave_out_a_response_without_its_context(worker, emulator):
    result = await worker.run("[[scenario=tool_rounds tool=beat]]Well?", tools=["beat"], include_steps=True)

    assert [step["output"] for step in result.steps] == ["beaten"] * 3
    items = [item.get("role") or item["type"] for item in bodies(emulator)[-1]["input"]]
    assert items == ["user", *["function_call", "function_call_output"] * 3]


@like("ignores_previous")
async def test_a_later_job_with_tools_has_the_calls_of_earlier_ones(worker, emulator):
    first = await worker.run("[[scenario=tools tool=beat]]Well?", tools=["beat"], keep_thread=True)
    await worker.run("[[scenario=tools tool=beat]]And now?", thread=first.thread_id, tools=["beat"])

    items = [item.get("role") or item["type"] for item in bodies(emulator)[-1]["input"]]
    turn = ["user", "function_call", "function_call_output"]
    assert items == [*turn, "assistant", *turn]


@like("ignores_previous")
async def test_a_foreign_response_that_is_not_continued_fails_the_job(worker, emulator):
    theirs = emulator.call("POST", "/responses", {"model": "emulator-1", "input": "My name is Ada."})["id"]
    result = await worker.run("Who am I?", thread=theirs)

    assert (result.state, result.failure.kind) == (JobState.FAILED, FailureKind.UNSUPPORTED)
    assert "send the earlier messages with the job" in result.failure.message


@like("polling_ids", conversations=True)
async def test_what_a_thread_of_others_is_is_asked_of_the_server(worker, emulator):
    theirs = emulator.call("POST", "/responses", {"model": "emulator-1", "input": "My name is Ada."})["id"]
    talk = emulator.call("POST", "/conversations", {"items": [{"type": "message", "role": "user", "content": "Ada."}]})
    on_response = await worker.run("[[scenario=recall]]Who am I?", thread=theirs)
    on_conversation = await worker.run("[[scenario=recall]]Who am I?", thread=talk["id"])

    assert theirs.startswith("litellm_poll_")
    assert "> My name is Ada." in on_response.text
    assert "> Ada." in on_conversation.text
    assert bodies(emulator)[-2]["previous_response_id"] == theirs
    assert bodies(emulator)[-1]["conversation"] == talk["id"]


@like("ignores_previous")
async def test_a_thread_that_the_server_does_not_show_is_not_asked_on(worker, emulator):
    result = await worker.run("Who am I?", thread="conv_of_another_server")

    assert (result.state, result.failure.kind) == (JobState.FAILED, FailureKind.REJECTED)
    assert "neither a conversation nor a response" in result.failure.message
    assert bodies(emulator) == []


@like("ignores_background", "stateless", "polling_ids")
async def test_a_kept_transcript_is_shown_and_goes_with_its_thread(
    worker, emulator, store, settings, capsys, monkeypatch
):
    first = await worker.run("My name is Ada.", keep_thread=True)
    [kept] = worker.client.threads()
    assert (kept.kind, kept.latest) == ("chain", "")
    monkeypatch.setattr("threadmill_cli.commands.threads.Client", lambda: worker.client)

    capsys.readouterr()
    show(first.thread_id)
    shown, advice = capsys.readouterr()
    assert shown.startswith("user\nMy name is Ada.\n")
    assert "assistant\n" in shown
    assert "threads delete" not in advice

    name = f"{settings.key_prefix}:transcript:emulator/{first.thread_id}"
    assert [item["role"] for item in json.loads(store.get(name))["items"]] == ["user", "assistant"]
    worker.client.delete_thread(first.thread_id)
    assert not store.exists(name)
    assert [(each.kind, each.id) for each in worker.client.leftovers()] == [("response", first.thread_id)]


@like("ignores_background", "stateless")
async def test_a_transcript_that_is_too_long_is_not_continued_without_its_beginning(worker, emulator, monkeypatch):
    monkeypatch.setattr(remote, "TRANSCRIPT_LIMIT", 2_000)
    first = await worker.run("Words. " * 500, keep_thread=True)
    second = await worker.run("And then?", thread=first.thread_id)

    assert first.state is JobState.SUCCEEDED
    assert (second.state, second.failure.kind) == (JobState.FAILED, FailureKind.UNSUPPORTED)
    assert len(bodies(emulator)) == 1
