"""Requests of Chat Completions, checked with the types of OpenAI's own package."""

from dataclasses import replace
from typing import Any

import pytest
from openai.types.chat import completion_create_params
from pydantic import TypeAdapter

from threadmill import PromptJob
from threadmill.errors import InvalidJob
from threadmill.settings.endpoints.endpoint import Endpoint
from threadmill.settings.profile import Profile
from threadmill.store.records.remote import KeptThread, Transcript
from threadmill_worker.drivers.chat.optional_fields import refused_field
from threadmill_worker.drivers.chat.requests import Requests, round_name
from threadmill_worker.drivers.requests.job_spec import JobSpec
from threadmill_worker.lifecycle.observations import RunObservation, ToolCall
from threadmill_worker.lifecycle.progress import CurrentRun, Features, Progress
from threadmill_worker.lifecycle.server_errors import ServerError

PROGRESS = Progress(deadline_at=0, messages=1)
REQUEST = TypeAdapter(completion_create_params.CompletionCreateParamsNonStreaming)
STREAM = TypeAdapter(completion_create_params.CompletionCreateParamsStreaming)
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
FORMAT = {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA, "strict": True}}
TOOL = {"type": "function", "function": {"name": "weigh", "parameters": {"type": "object", "properties": {}}}}


def endpoint(**supports: bool) -> Endpoint:
    return Endpoint.model_validate({"kind": "chat", "base_url": "http://server/v1", "supports": supports})


def requests(*, supports: dict[str, bool] | None = None, spec: dict[str, Any] | None = None, **fields: Any) -> Requests:
    job = PromptJob.parse({"prompt": "Why?"} | fields)
    tools = [tool for tool in job.tools or () if isinstance(tool, dict)]
    return Requests(JobSpec("job", job, "e", model="m", tools=tools, **(spec or {})), endpoint(**(supports or {})))


async def body(
    made: Requests, progress: Progress = PROGRESS, note: str | None = None, left_out: tuple[str, ...] = ()
) -> dict[str, Any]:
    request = made.body(await made.messages(progress), progress, note, left_out)
    (STREAM if request.get("stream") else REQUEST).validate_python(request)
    return request


def asked_for_tools(*rounds: str, **outputs: str) -> CurrentRun:
    """A run whose rounds called these tools, each by an id of its own."""
    seen = []
    for each in rounds:
        call = {"id": each, "type": "function", "function": {"name": "weigh", "arguments": "{}"}}
        item = {"role": "assistant", "content": None, "tool_calls": [call]}
        seen.append(
            RunObservation("r", "requires_action", (ToolCall(each, "weigh", "{}"),), items=(item,), is_call=True)
        )
    *past, last = seen
    return CurrentRun(last, started_at=0, active_since=0, rounds=len(past), outputs=outputs, past_rounds=tuple(past))


async def test_a_plain_job_sends_its_model_and_its_messages_alone():
    assert await body(requests()) == {"model": "m", "messages": [{"role": "user", "content": "Why?"}]}


async def test_the_instructions_and_all_notes_are_the_system_message():
    made = requests(additional_instructions="Be brief.", spec={"instructions": "You are kind."})
    sent = await body(made, replace(PROGRESS, schema_error="not JSON"), "It is noon.")

    system, user = sent["messages"]
    assert system["role"] == "system"
    assert system["content"].split("\n")[:3] == ["You are kind.", "Be brief.", "It is noon."]
    assert "not JSON" in system["content"]
    assert user == {"role": "user", "content": "Why?"}


async def test_images_are_sent_as_urls_in_parts():
    sent = await body(requests(images=["https://example.com/a.png"]))
    assert sent["messages"][0]["content"] == [
        {"type": "text", "text": "Why?"},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
    ]


async def test_sampling_is_that_of_the_job_or_of_its_profile():
    profile = Profile(model="m", temperature=0.5, top_p=0.9, reasoning_effort="low")
    sent = await body(requests(temperature=0.0, seed=7, spec={"profile": profile}))
    assert {name: sent[name] for name in ("temperature", "top_p", "reasoning_effort", "seed")} == {
        "temperature": 0.0,
        "top_p": 0.9,
        "reasoning_effort": "low",
        "seed": 7,
    }


@pytest.mark.parametrize(
    ("newer", "left_out", "field"),
    [
        (False, (), "max_tokens"),
        (True, (), "max_completion_tokens"),
        (False, ("max_tokens",), "max_completion_tokens"),
        (True, ("max_completion_tokens",), "max_tokens"),
    ],
)
async def test_the_limit_of_tokens_has_the_name_that_the_server_accepts(newer, left_out, field):
    made = requests(max_completion_tokens=9, supports={"max_completion_tokens": newer})
    sent = await body(made, left_out=left_out)
    assert {name: sent[name] for name in sent if "tokens" in name} == {field: 9}


async def test_a_schema_is_sent_as_a_field_or_in_words():
    assert (await body(requests(response_format=FORMAT)))["response_format"] == FORMAT
    for sent in (
        await body(requests(response_format=FORMAT, supports={"json_schema": False})),
        await body(requests(response_format=FORMAT), left_out=("response_format",)),
    ):
        assert "response_format" not in sent
        assert '"a": {"type": "integer"}' in sent["messages"][0]["content"]


async def test_json_of_any_form_is_a_field_of_its_own():
    form = {"type": "json_object"}
    sent = await body(requests(response_format=form, supports={"json_schema": False}))
    assert sent["response_format"] == form
    sent = await body(requests(response_format=form), left_out=("response_format",))
    assert sent["messages"][0]["content"] == "Answer with nothing but a JSON object"


async def test_a_stream_asks_for_its_usage():
    sent = await body(requests(stream=True))
    assert (sent["stream"], sent["stream_options"]) == (True, {"include_usage": True})
    assert "stream_options" not in await body(requests(stream=True, supports={"stream_usage": False}))
    assert "stream" not in await body(requests(stream=True, supports={"streaming": False}))
    assert not {"stream", "stream_options"} & (await body(requests(stream=True), left_out=("stream",))).keys()


async def test_the_lane_flex_is_a_service_tier():
    progress = replace(PROGRESS, features=Features(lane="flex"))
    assert (await body(requests(), progress))["service_tier"] == "flex"


async def test_rounds_of_tools_are_repeated_with_their_outputs():
    run = asked_for_tools("a", "b", a="1 kg", b="2 kg")
    progress = replace(PROGRESS, run=run, runs=1)
    sent = await body(requests(tools=[TOOL], parallel_tool_calls=False), progress)

    assert round_name(progress) == "run-1-3"
    assert [(each["role"], each.get("content")) for each in sent["messages"]] == [
        ("user", "Why?"),
        ("assistant", None),
        ("tool", "1 kg"),
        ("assistant", None),
        ("tool", "2 kg"),
    ]
    assert sent["parallel_tool_calls"] is False


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "weigh"}}])
async def test_a_tool_is_forced_once(choice):
    made = requests(tools=[TOOL], tool_choice=choice)
    assert (await body(made))["tool_choice"] == choice
    assert "tool_choice" not in await body(made, replace(PROGRESS, run=asked_for_tools("a", a="1 kg"), runs=1))


async def test_fields_about_tools_need_tools():
    assert not {"tools", "tool_choice", "parallel_tool_calls"} & (await body(requests(tool_choice="auto"))).keys()


async def test_a_tool_of_a_server_is_refused():
    made = requests(tools=[{"type": "code_interpreter"}])
    with pytest.raises(InvalidJob, match="has no tool 'code_interpreter'"):
        await body(made)


def kept(*items: dict[str, Any]) -> KeptThread:
    moment: Any = "2026-01-01T00:00:00Z"
    return KeptThread(
        endpoint="e",
        id="local_1",
        kind="local",
        job_id="job",
        created_at=moment,
        used_at=moment,
        transcript=Transcript(items=items),
    )


EARLIER = ({"role": "user", "content": "Who?"}, {"role": "assistant", "content": "I."})


async def test_a_thread_continues_with_its_earlier_messages():
    made = requests(thread="local_1", spec={"kept": kept(*EARLIER), "instructions": "Be kind."})
    sent = await body(made)
    assert sent["messages"] == [
        {"role": "system", "content": "Be kind."},
        *EARLIER,
        {"role": "user", "content": "Why?"},
    ]


async def test_a_thread_keeps_all_messages_but_those_of_the_system():
    made = requests(thread="local_1", spec={"kept": kept(*EARLIER), "instructions": "Be kind."})
    run = asked_for_tools("a", "end", a="1 kg")
    answer = [{"type": "text", "text": {"value": "So.", "annotations": []}}]
    state = await made.thread_state(replace(PROGRESS, run=run, runs=1), answer)

    assert (state.kind, state.latest) == ("local", None)
    assert state.transcript is not None
    assert [(each["role"], each["content"]) for each in state.transcript.items] == [
        ("user", "Who?"),
        ("assistant", "I."),
        ("user", "Why?"),
        ("assistant", None),
        ("tool", "1 kg"),
        ("assistant", "So."),
    ]


FIELDS = {"stream": True, "stream_options": {}, "seed": 1, "max_tokens": 9, "response_format": FORMAT, "tools": []}


@pytest.mark.parametrize(
    ("said", "field"),
    [
        (
            ServerError("Unsupported parameter, use another", param="max_tokens"),
            "max_tokens",
        ),
        (ServerError("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."), "max_tokens"),
        (ServerError("body.seed: Extra inputs are not permitted", status=422), "seed"),
        (ServerError('Unknown name "stream_options": Cannot find field.'), "stream_options"),
        (ServerError("streaming is not supported", param="stream"), "stream"),
        (ServerError("no stream here", status=501), "stream"),
        (ServerError("bad", param="response_format.type"), "response_format"),
        (ServerError("max_tokens is too large: 9", param="max_tokens"), None),
        (ServerError("Invalid schema for response_format 'a'", param="response_format"), None),
        (ServerError("This model's maximum context length is 8 tokens; lower max_tokens"), None),
        (ServerError("tools are not supported", param="tools"), None),
        (ServerError("Unsupported parameter: reasoning_effort"), None),  # not sent
        (ServerError("seed", status=500), None),
        (ServerError("the stream is long", param="messages"), None),
    ],
)
def test_a_refused_field_is_one_that_the_server_names(said, field):
    said = said if said.status else replace(said, status=400)
    assert refused_field(FIELDS, said) == field


def test_one_of_the_two_limits_of_tokens_is_needed():
    said = ServerError("max_tokens is not supported", status=400, param="max_tokens")
    assert refused_field(FIELDS, said, {"max_completion_tokens"}) is None
