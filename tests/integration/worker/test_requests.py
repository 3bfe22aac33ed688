"""What a job asks for really arrives at the server, and nothing else does."""

import base64
import os
from datetime import datetime

import pytest

from threadmill import JobState

pytestmark = pytest.mark.integration

PIXEL = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()


async def test_a_plain_prompt_sends_no_more_than_it_must(worker, emulator):
    job_id = worker.create("Well?")
    await worker.see_through(job_id)

    [thread] = emulator.sent("POST", "/threads")
    assert thread.json == {
        "messages": [{"role": "user", "content": "Well?", "metadata": {"threadmill": f"{job_id}/message-0"}}]
    }
    [run] = emulator.sent("POST", "/runs")
    assert run.json == {"assistant_id": "asst_emulator", "metadata": {"threadmill": f"{job_id}/run-1"}}
    assert [request.method for request in emulator.requests].count("DELETE") == 1
    assert emulator.requests[-1].method == "DELETE"


async def test_every_option_of_a_job_reaches_its_run(worker, emulator):
    options = {
        "instructions": "Be brief.",
        "additional_instructions": "Be kind.",
        "model": "emulator-1",
        "tools": [{"type": "code_interpreter"}],
        "tool_choice": "none",
        "response_format": {"type": "json_object"},
        "temperature": 0.0,
        "top_p": 0.5,
        "max_prompt_tokens": 1000,
        "max_completion_tokens": 500,
        "parallel_tool_calls": False,
    }
    truncation = {"type": "last_messages", "last_messages": 3}
    result = await worker.run("Well?", **options, truncation=truncation, metadata={"order": "4711"})

    assert (result.state, result.metadata) == (JobState.SUCCEEDED, {"order": "4711"})
    [run] = emulator.sent("POST", "/runs")
    sent = {name: value for name, value in run.json.items() if name not in ("assistant_id", "metadata")}
    assert sent == options | {"truncation_strategy": truncation}
    assert run.json["metadata"]["order"] == "4711"
    [thread] = emulator.sent("POST", "/threads")
    assert thread.json["metadata"] == {"order": "4711"}


@pytest.mark.endpoint(model="gpt-of-the-endpoint", instructions="Be formal.")
async def test_an_assistants_endpoint_can_name_model_and_instructions_of_each_run(worker, emulator):
    """OpenOpenAI answers a run without them with 500."""
    await worker.run("Well?")
    await worker.run("Well?", model="gpt-of-the-job", instructions="Be brief.")

    first, second = (run.json for run in emulator.sent("POST", "/runs"))
    assert (first["model"], first["instructions"]) == ("gpt-of-the-endpoint", "Be formal.")
    assert (second["model"], second["instructions"]) == ("gpt-of-the-job", "Be brief.")


@pytest.mark.endpoint(wire="responses", model="emulator", instructions="Be formal.")
async def test_a_responses_endpoint_can_name_the_instructions_too(worker, emulator):
    await worker.run("Well?")
    await worker.run("Well?", instructions="Be brief.")

    assert [sent.json["instructions"] for sent in emulator.sent("POST", "/responses")] == ["Be formal.", "Be brief."]


async def test_messages_beyond_the_thirty_second_are_added_one_by_one(worker, emulator):
    said = [{"role": "user" if n % 2 == 0 else "assistant", "content": f"Remark {n}."} for n in range(39)]
    result = await worker.run("Well?", messages=said, assistant="asst_echo")

    [thread] = emulator.sent("POST", "/threads")
    rest = [request.json for request in emulator.sent("POST", "/messages")]
    assert (len(thread.json["messages"]), len(rest)) == (32, 8)
    sent = [{"role": each["role"], "content": each["content"]} for each in [*thread.json["messages"], *rest]]
    assert sent == [*said, {"role": "user", "content": "Well?"}]
    assert "Well?" in result.text
    assert emulator.threads() == 0


@pytest.mark.parametrize("count", [31, 32, 33])
async def test_no_message_is_lost_at_the_limit(worker, emulator, count):
    said = [{"content": f"Remark {n}."} for n in range(count)]
    result = await worker.run(prompt=None, messages=said, assistant="asst_echo")

    assert result.text.split("\n\n") == [f"Remark {n}." for n in range(count)]


async def test_text_and_images_arrive_as_parts(worker, emulator):
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": PIXEL, "detail": "auto"}},
    ]
    result = await worker.run(prompt=None, messages=[{"role": "user", "content": parts}])

    assert emulator.sent("POST", "/threads")[0].json["messages"][0]["content"] == parts
    assert "https://example.com/a.png; image/png, 8 bytes" in result.text


async def test_the_prompt_comes_after_the_messages(worker, emulator):
    said = [{"content": "A riddle."}, {"role": "assistant", "content": "Go on."}]
    result = await worker.run("What has roots?", messages=said, assistant="asst_echo")

    assert result.text == "What has roots?", "the emulator echoes what came after the assistant spoke"


@pytest.mark.endpoint(current_time_note="The current time is: %Y-%m-%d")
async def test_a_run_receives_the_time_if_the_endpoint_says_so(worker, emulator):
    before = datetime.now().astimezone()
    await worker.run(additional_instructions="Be kind.")

    [run] = emulator.sent("POST", "/runs")
    told = run.json["additional_instructions"]
    after = datetime.now().astimezone()
    assert told in {f"Be kind.\nThe current time is: {day:%Y-%m-%d}" for day in (before, after)}


async def test_the_jobs_assistant_wins_over_the_endpoints(worker, emulator):
    await worker.run(assistant="asst_echo")

    assert emulator.sent("POST", "/runs")[0].json["assistant_id"] == "asst_echo"


async def test_an_assistant_that_does_not_exist_is_rejected_at_once(worker, emulator):
    result = await worker.run(assistant="asst_missing")

    assert (result.state, result.failure.kind, result.runs) == (JobState.FAILED, "rejected", 0)
    assert "asst_missing" in result.failure.message
    assert emulator.threads() == 0


async def test_a_rejection_quotes_the_server(worker, emulator):
    result = await worker.run("[[scenario=no_such_thing]]\nWell?")

    assert result.failure.kind == "rejected"
    assert "no scenario marker 'scenario=no_such_thing'" in result.failure.message
    assert emulator.threads() == 0


@pytest.mark.parametrize("variables", [{}, {"OPENAI_ORG_ID": "org-mine", "OPENAI_PROJECT_ID": "proj_mine"}])
async def test_every_request_carries_the_beta_header_and_names_no_organisation(
    worker, emulator, monkeypatch, variables
):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    await worker.run("[[scenario=tools calls=2]]\nWell?", messages=[{"content": "Hm."}] * 33)

    assert len(emulator.requests) > 8
    for request in emulator.requests:
        assert request.headers["openai-beta"] == "assistants=v2"
        assert not {"openai-organization", "openai-project"} & request.headers.keys()


@pytest.mark.endpoint(api_key_env="TEST_KEY")
@pytest.mark.emulated(api_key="sk-the-only-one")
async def test_every_request_carries_the_endpoints_key(worker, emulator, monkeypatch):
    monkeypatch.setenv("TEST_KEY", "sk-the-only-one")
    result = await worker.run("[[scenario=tools]]\nWell?")

    assert result.state is JobState.SUCCEEDED
    assert {request.headers["authorization"] for request in emulator.requests} == {"Bearer sk-the-only-one"}


async def test_an_endpoint_without_a_key_is_not_sent_one_of_the_environment(worker, emulator, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-belongs-to-another-server")
    await worker.run()

    assert "OPENAI_API_KEY" in os.environ
    assert {request.headers["authorization"] for request in emulator.requests} == {"Bearer none"}


@pytest.mark.endpoint(api_key_env="TEST_KEY")
async def test_a_worker_without_the_key_fails_the_job_and_names_the_variable(worker, emulator):
    result = await worker.run()

    assert (result.state, result.failure.kind, result.failure.retryable) == (JobState.FAILED, "unauthorised", True)
    assert "TEST_KEY" in result.failure.message
    assert emulator.requests == []
