"""Streams of the emulator, read by the openai package: its event handler, and the bare events."""

import time
from itertools import groupby
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI
from openai.lib.streaming import AssistantEventHandler

from threadmill_emulator.scripting.options import Options

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:.*Assistants API is deprecated.*:DeprecationWarning"),
]
OPTIONS = Options(run_s=0.1)

STEP = ["thread.run.step.created", "thread.run.step.in_progress"]
BEGUN = ["thread.run.queued", "thread.run.in_progress"]
WRITTEN = [
    *STEP,
    "thread.message.created",
    "thread.message.in_progress",
    "thread.message.delta",
    "thread.message.completed",
    "thread.run.step.completed",
]


def asked(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}


def names(events: list[Any]) -> list[str]:
    """Without repetitions: how many deltas there are is another matter."""
    return [name for name, _ in groupby(event.event for event in events)]


def told(client: OpenAI, text: str, assistant: str = "asst_emulator") -> list[Any]:
    return list(client.beta.threads.create_and_run(assistant_id=assistant, thread=asked(text), stream=True))


def ended(client: OpenAI, run: Any, *, within_s: float = 10) -> Any:
    give_up_at = time.monotonic() + within_s
    while run.status in ("queued", "in_progress", "cancelling"):
        assert time.monotonic() < give_up_at
        run = client.beta.threads.runs.retrieve(run.id, thread_id=run.thread_id)
    return run


def submit(client: OpenAI, run: Any, **settings: Any) -> Any:
    calls = run.required_action.submit_tool_outputs.tool_calls
    outputs = [{"tool_call_id": call.id, "output": "42"} for call in calls]
    return client.beta.threads.runs.submit_tool_outputs(
        run.id, thread_id=run.thread_id, tool_outputs=outputs, **settings
    )


def test_a_text_run_is_told_in_order(client: OpenAI):
    events = told(client, "[[scenario=echo]]Herons eat fish. 蒼鷺吃魚。")
    assert names(events) == [
        "thread.created",
        "thread.run.created",
        *BEGUN,
        *WRITTEN,
        "thread.run.completed",
    ]
    statuses = [
        event.data.status for event in events if event.event.startswith("thread.run.") and "step" not in event.event
    ]
    assert statuses == ["queued", "queued", "in_progress", "completed"]
    text = "".join(e.data.delta.content[0].text.value for e in events if e.event == "thread.message.delta")
    assert text == "Herons eat fish. 蒼鷺吃魚。"
    whole = next(event.data for event in events if event.event == "thread.message.completed")
    assert whole.content[0].text.value == text
    assert client.beta.threads.messages.list(whole.thread_id, order="desc", limit=1).data == [whole]
    run = events[-1].data
    assert run.usage.completion_tokens > 0
    assert client.beta.threads.runs.retrieve(run.id, thread_id=run.thread_id) == run


def test_the_packages_event_handler_ends_with_run_messages_and_steps(client: OpenAI):
    thread = client.beta.threads.create(**asked("[[scenario=blocks]]herons"))
    with client.beta.threads.runs.stream(
        thread_id=thread.id, assistant_id="asst_emulator", event_handler=AssistantEventHandler()
    ) as stream:
        assert "".join(stream.text_deltas).endswith("sandbox:/mnt/data/terms.csv)")
        assert stream.get_final_run().status == "completed"
        (message,) = stream.get_final_messages()
        (step,) = stream.get_final_run_steps()
    [stored] = client.beta.threads.messages.list(thread.id, run_id=message.run_id).data
    assert message == stored
    assert [note.type for note in stored.content[2].text.annotations] == ["file_citation", "file_citation", "file_path"]
    listed = client.beta.threads.runs.steps.list(message.run_id, thread_id=thread.id).data
    assert [each.id for each in listed] == [step.id]


def test_a_run_with_tools_stops_for_them_and_goes_on(client: OpenAI):
    thread = client.beta.threads.create(**asked("[[scenario=parallel_tools calls=2]]herons"))
    with client.beta.threads.runs.stream(thread_id=thread.id, assistant_id="asst_emulator") as stream:
        events = list(stream)
        run = stream.get_final_run()
        (step,) = stream.get_final_run_steps()
    assert names(events) == [
        "thread.run.created",
        *BEGUN,
        *STEP,
        "thread.run.step.delta",
        "thread.run.requires_action",
    ]
    calls = run.required_action.submit_tool_outputs.tool_calls
    assert [call.function.arguments for call in step.step_details.tool_calls] == [c.function.arguments for c in calls]
    events = list(submit(client, run, stream=True))
    assert names(events) == ["thread.run.step.completed", *BEGUN, *WRITTEN, "thread.run.completed"]
    assert events[0].data.id == step.id
    assert events[0].data.step_details.tool_calls[0].function.output == "42"


def test_the_servers_own_tools_are_told_before_the_answer(client: OpenAI):
    events = told(client, "[[scenario=plot]]a sine wave")
    told_step = [*STEP, "thread.run.step.delta", "thread.run.step.completed"]
    assert names(events)[4:] == [*told_step, *WRITTEN, "thread.run.completed"]
    thread = client.beta.threads.create(**asked("[[scenario=plot]]a sine wave"))
    with client.beta.threads.runs.stream(thread_id=thread.id, assistant_id="asst_emulator") as stream:
        stream.until_done()
        made = stream.get_final_run_steps()[0].step_details.tool_calls[0].code_interpreter
    listed = client.beta.threads.runs.steps.list(stream.current_run.id, thread_id=thread.id, order="asc").data[0]
    kept = listed.step_details.tool_calls[0].code_interpreter
    assert (made.input, made.outputs[0].logs) == (kept.input, kept.outputs[0].logs)
    assert client.files.content(made.outputs[1].image.file_id).read().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("scenario", "status"), [("failed", "failed"), ("expired", "expired"), ("cancelled", "cancelled")]
)
def test_other_endings(client: OpenAI, scenario: str, status: str):
    events = told(client, f"[[scenario={scenario}]]x")
    assert names(events) == ["thread.created", "thread.run.created", *BEGUN, f"thread.run.{status}"]


def test_an_incomplete_run_leaves_an_incomplete_message(client: OpenAI):
    events = told(client, "[[scenario=incomplete]]Herons eat fish.")
    assert names(events)[-4:] == [
        "thread.message.delta",
        "thread.message.incomplete",
        "thread.run.step.completed",
        "thread.run.incomplete",
    ]
    cut = next(event.data for event in events if event.event == "thread.message.incomplete")
    assert cut.incomplete_details.reason == "max_tokens"


def test_a_cancel_ends_the_stream_and_keeps_what_was_said(client: OpenAI):
    thread = client.beta.threads.create(**asked("[[scenario=echo run_s=20 cancel_s=0]]" + "word " * 500))
    events: list[Any] = []
    for event in client.beta.threads.runs.create(thread.id, assistant_id="asst_echo", stream=True):
        if event.event == "thread.message.delta" and event.event not in names(events):
            client.beta.threads.runs.cancel(events[0].data.id, thread_id=thread.id)
        events.append(event)
    assert names(events)[-4:] == [
        "thread.run.cancelling",
        "thread.message.incomplete",
        "thread.run.step.cancelled",
        "thread.run.cancelled",
    ]
    said = "".join(e.data.delta.content[0].text.value for e in events if e.event == "thread.message.delta")
    (kept,) = client.beta.threads.messages.list(thread.id, run_id=events[0].data.id).data
    assert kept.content[0].text.value == said
    assert (kept.status, kept.incomplete_details.reason) == ("incomplete", "run_cancelled")


def test_outputs_taken_too_late(client: OpenAI):
    run = told(client, "[[scenario=late_expiry expires_s=0.2]]x")[-1].data
    time.sleep(0.2)  # the emulator goes by the clock, and says nothing when it comes to pass
    events = list(submit(client, run, stream=True))
    assert names(events) == ["thread.run.step.completed", "thread.run.queued", "thread.run.expired"]


def test_a_stream_ends_with_its_thread(client: OpenAI):
    thread = client.beta.threads.create(**asked("x"))
    for event in client.beta.threads.runs.create(thread.id, assistant_id="asst_stuck", stream=True):
        if event.event == "thread.run.in_progress":
            client.beta.threads.delete(thread.id)
    assert event.event == "thread.run.in_progress"


def test_a_client_that_leaves_does_not_stop_the_run(client: OpenAI):
    thread = client.beta.threads.create(**asked("[[scenario=echo run_s=0.5]]hello there"))
    with client.beta.threads.runs.create(thread.id, assistant_id="asst_echo", stream=True) as stream:
        run = next(stream).data
    assert ended(client, run).status == "completed"
    assert client.beta.threads.messages.list(thread.id).data[0].content[0].text.value == "hello there"


def test_deltas_are_as_many_as_asked_for_and_spread_over_the_time(client: OpenAI):
    began, moments = time.monotonic(), []
    text = "[[scenario=echo run_s=1 deltas=300]]" + "word " * 300
    for event in client.beta.threads.create_and_run(assistant_id="asst_echo", thread=asked(text), stream=True):
        if event.event == "thread.message.delta":
            moments.append(time.monotonic() - began)
    assert len(moments) == 300
    assert moments[0] < 0.35 < moments[150] < 0.85 < moments[-1]


def test_a_stream_on_a_thread_in_use_is_refused_as_json(client: OpenAI):
    thread = client.beta.threads.create()
    client.beta.threads.runs.create(thread.id, assistant_id="asst_stuck")
    with pytest.raises(openai.BadRequestError, match="already has an active run"):
        client.beta.threads.runs.create(thread.id, assistant_id="asst_echo", stream=True)


def test_a_server_that_answers_with_json(client: OpenAI, http: httpx.Client):
    assert told(client, "x", "asst_stream_json") == []
    answer = http.post("/threads/runs", json={"assistant_id": "asst_stream_json", "stream": True})
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["status"] == "queued"


def test_a_connection_that_drops_in_the_middle(client: OpenAI):
    events: list[Any] = []
    stream = client.beta.threads.create_and_run(assistant_id="asst_stream_drops", thread=asked("x"), stream=True)
    with pytest.raises(openai.APIConnectionError):
        events.extend(stream)
    assert [event.event for event in events].count("thread.message.delta") == 3
    assert ended(client, events[1].data).status == "completed"


def test_a_stream_that_ends_too_early(client: OpenAI, http: httpx.Client):
    body = {"assistant_id": "asst_stream_no_done", "thread": asked("x"), "stream": True}
    text = http.post("/threads/runs", json=body).text
    assert text.rstrip().rpartition("event: ")[2].startswith("thread.run.step.completed")
    events = told(client, "x", "asst_stream_no_done")
    assert ended(client, events[1].data).status == "completed"


def test_errors_in_the_stream(client: OpenAI):
    with pytest.raises(openai.APIError, match="The server had an error"):
        told(client, "x", "asst_stream_error")
    events = told(client, "x", "asst_stream_flat_error")
    assert "failed" not in events[-1].event
    assert ended(client, events[1].data).last_error.code == "server_error"


def test_completed_after_requires_action(client: OpenAI):
    events = told(client, "x", "asst_stream_late_completed")
    assert names(events)[-2:] == ["thread.run.requires_action", "thread.run.completed"]
    run = client.beta.threads.runs.retrieve(events[1].data.id, thread_id=events[0].data.id)
    assert run.status == "requires_action"
    assert ended(client, submit(client, run)).status == "completed"


def test_the_wire_itself(http: httpx.Client):
    answer = http.post("/threads/runs", json={"assistant_id": "asst_echo", "thread": asked("hello"), "stream": True})
    assert answer.headers["content-type"].startswith("text/event-stream")
    frames = answer.text.split("\n\n")
    assert frames[-2:] == ["event: done\ndata: [DONE]", ""]
    assert all(frame.startswith("event: thread.") and "\ndata: {" in frame for frame in frames[:-2])
