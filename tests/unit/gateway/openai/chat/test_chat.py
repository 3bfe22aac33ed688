"""Chat completions: requests as jobs, and jobs as completions and chunks."""

from datetime import UTC, datetime

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from tests.unit.gateway.openai.records import record_of

from threadmill import Event, EventKind
from threadmill.job.result import Citation
from threadmill_gateway.openai.chat.object import Chunks, completion_object
from threadmill_gateway.openai.chat.request import read_request
from threadmill_gateway.openai.errors import ApiError

USER = {"role": "user", "content": "Hello"}


@pytest.fixture
def read(settings):
    return lambda *messages, **body: read_request(
        {"model": "gpt-5", "messages": [*messages] or [USER], **body}, settings
    )


def test_messages_and_parameters_become_fields(read):
    image = {"type": "image_url", "image_url": {"url": "https://x.example/a.png", "detail": "high"}}
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}
    request = read(
        {"role": "developer", "content": "Be brief."},
        USER,
        {"role": "assistant", "content": "Hi", "refusal": None, "tool_calls": None, "annotations": []},
        {"role": "user", "content": [{"type": "text", "text": "And this?"}, image]},
        max_tokens=50,
        response_format=form,
        tools=[{"type": "function", "function": {"name": "weather", "strict": False}}],
        tool_choice={"type": "function", "function": {"name": "weather"}},
        seed=7,
        service_tier="priority",
        stream=True,
        stream_options={"include_usage": True},
    )
    job = request.job

    assert [message.role for message in job.conversation] == ["user", "assistant", "user"]
    assert job.additional_instructions == "Be brief."
    assert job.conversation[2].images == ("https://x.example/a.png",)
    assert job.max_completion_tokens == 50
    assert job.response_format == form
    assert job.tools == ("weather",)
    assert job.tool_choice == {"type": "function", "function": {"name": "weather"}}
    assert (job.seed, job.service_tier) == (7, "priority")
    assert request.stream
    assert request.include_usage


def test_values_that_openai_documents_as_defaults_change_nothing(read):
    job = read(
        n=1,
        store=False,
        presence_penalty=0,
        frequency_penalty=0.0,
        logprobs=False,
        logit_bias={},
        modalities=["text"],
        stop=None,
        seed=None,
        response_format={"type": "text"},
        service_tier="default",
    ).job

    assert job.model_dump(exclude_defaults=True).keys() == {"endpoint", "messages", "model"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", 2),
        ("store", True),
        ("presence_penalty", 0.5),
        ("logprobs", True),
        ("logit_bias", {"1": 1}),
        ("modalities", ["audio"]),
        ("stop", "x"),
        ("service_tier", "scale"),
        ("user", "u"),
        ("functions", []),
        ("reasoning_effort", "high"),
        ("audio", {}),
        ("response_format", {"type": "grammar"}),
    ],
)
def test_what_no_job_can_have_is_refused(read, field, value):
    with pytest.raises(ApiError) as refused:
        read(**{field: value})

    assert refused.value.error["param"] == field
    assert refused.value.error["code"] == "unsupported_parameter"


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"role": "tool", "content": "x", "tool_call_id": "c"}, "messages[0].role"),
        ({"role": "assistant", "content": "x", "tool_calls": [{}]}, "messages[0].tool_calls"),
        ({"role": "assistant", "content": None}, "messages[0].content"),
        ({"role": "user", "content": "x", "name": "Bob"}, "messages[0].name"),
        ({"role": "user", "content": [{"type": "input_audio"}]}, "messages[0].content[0].type"),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "a.png"}}]},
            "messages[0].content[0].image_url.url",
        ),
        ({"role": "user", "content": [{"type": "image_url"}]}, "messages[0].content[0].image_url"),
    ],
)
def test_messages_without_a_counterpart_are_refused(read, message, param):
    with pytest.raises(ApiError) as refused:
        read(message)

    assert refused.value.error["param"] == param


def test_two_limits_of_tokens_must_agree(read):
    assert read(max_tokens=5, max_completion_tokens=5).job.max_completion_tokens == 5
    with pytest.raises(ApiError):
        read(max_tokens=5, max_completion_tokens=6)


def test_a_completion():
    record = record_of(text="Blue[1].\n\n[1] Sky", citations=(Citation(number=1, name="Sky", url="https://s.example"),))
    completion = ChatCompletion.model_validate(completion_object(record, record.result, "gpt-5"), strict=True)

    assert completion.id == "chatcmpl-0b8a1c9e1f2d4c3b9a8d7e6f5a4b3c2d"
    assert completion.choices[0].message.content == "Blue[1].\n\n[1] Sky"
    assert completion.choices[0].message.annotations[0].url_citation.url == "https://s.example"
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage.total_tokens == 10


@pytest.mark.parametrize(("code", "reason"), [("max_tokens", "length"), ("content_filter", "content_filter")])
def test_a_part_of_an_answer_says_why_it_ended(code, reason):
    record = record_of("failed", "Blu", failure="incomplete", code=code)

    assert completion_object(record, record.result, "gpt-5")["choices"][0]["finish_reason"] == reason


@pytest.mark.parametrize(
    ("kind", "status"),
    [("rejected", 400), ("quota", 429), ("server_error", 500), ("overdue", 504), ("of a newer version", 500)],
)
def test_a_failed_job_is_an_error_that_sdks_do_not_repeat(kind, status):
    record = record_of("failed", failure=kind)

    with pytest.raises(ApiError, match="the reason") as failed:
        completion_object(record, record.result, "gpt-5")

    assert failed.value.status == status
    assert failed.value.error["code"] == kind
    assert failed.value.headers == {"x-should-retry": "false"}


def test_chunks():
    record = record_of(text="The sky is blue.")
    chunks = Chunks(record, "gpt-5", include_usage=True)
    pieces = [Event(kind=EventKind.TEXT, at=datetime.now(UTC), text=text, message_id="m") for text in ("The ", "sky ")]
    sent = [
        *chunks.begin(),
        *(each for piece in pieces for each in chunks.take(piece)),
        *chunks.end(record, record.result),
    ]
    read = [ChatCompletionChunk.model_validate(chunk, strict=True) for chunk in sent]

    assert read[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].delta.content for chunk in read[1:4]] == ["The ", "sky ", "is blue."]
    assert [chunk.choices[0].finish_reason for chunk in read[:-1]] == [None, None, None, None, "stop"]
    assert read[-1].choices == []
    assert read[-1].usage.total_tokens == 10


def test_a_refusal():
    record = record_of(text="I cannot.", content=({"type": "refusal", "refusal": "I cannot."},))
    message = completion_object(record, record.result, "gpt-5")["choices"][0]["message"]

    assert (message["content"], message["refusal"]) == (None, "I cannot.")
    deltas = [
        chunk["choices"][0]["delta"] for chunk in Chunks(record, "m", include_usage=False).end(record, record.result)
    ]
    assert deltas == [{"refusal": "I cannot."}, {}]
