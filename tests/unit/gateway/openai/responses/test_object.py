"""A job as a response, which the SDK's own type accepts."""

import pytest
from openai.types.responses import Response
from tests.unit.gateway.openai.records import record_of

from threadmill.job.result import Citation, Usage
from threadmill_gateway.openai.responses.object import Shown, response_object


def shown(*args, **fields):
    """The response of a job, as the SDK reads it."""
    return Response.model_validate(response_object(Shown(record_of(*args, **fields), "gpt-5", "resp_0")), strict=True)


def test_a_completed_response():
    response = shown(text="Blue.", job={"metadata": {"a": "b"}, "temperature": 0.5})

    assert response.id == "resp_0b8a1c9e1f2d4c3b9a8d7e6f5a4b3c2d"
    assert response.status == "completed"
    assert response.output_text == "Blue."
    assert response.output[0].id == "msg_0b8a1c9e1f2d4c3b9a8d7e6f5a4b3c2d"
    assert (response.usage.input_tokens, response.usage.output_tokens) == (7, 3)
    assert (response.model, response.previous_response_id) == ("gpt-5", "resp_0")
    assert (response.metadata, response.temperature) == ({"a": "b"}, 0.5)
    assert response.error is response.incomplete_details is None


@pytest.mark.parametrize(
    ("state", "failure", "status"),
    [
        ("queued", None, "queued"),
        ("running", None, "in_progress"),
        ("cancelled", "cancelled", "cancelled"),
        ("failed", "server_error", "failed"),
        ("failed", "incomplete", "incomplete"),
    ],
)
def test_each_state_has_a_status(state, failure, status):
    response = shown(state, failure=failure)

    assert response.status == status
    assert response.output == []


@pytest.mark.parametrize(
    ("kind", "code"),
    [("quota", "rate_limit_exceeded"), ("invalid_prompt", "invalid_prompt"), ("overdue", "server_error")],
)
def test_a_failure_has_a_code_and_says_why(kind, code):
    error = shown("failed", failure=kind).error

    assert error.code == code
    assert error.message == f"{kind}: the reason"


@pytest.mark.parametrize(
    ("code", "reason"), [("content_filter", "content_filter"), ("max_completion_tokens", "max_output_tokens")]
)
def test_a_part_of_an_answer_is_incomplete(code, reason):
    response = shown("failed", "Blu", failure="incomplete", code=code)

    assert response.output_text == "Blu"
    assert response.output[0].status == "incomplete"
    assert response.incomplete_details.reason == reason


def test_citations_are_annotations_at_their_footnotes():
    page = Citation(number=1, name="Sky", url="https://sky.example")
    file = Citation(number=2, file_id="file-1", name="sky.txt")
    response = shown(text="Blue[1].\n\n[1] Sky\n[2] sky.txt", citations=(page, file))
    first, second = response.output[0].content[0].annotations

    assert (first.type, first.url, first.title, first.start_index, first.end_index) == (
        "url_citation",
        "https://sky.example",
        "Sky",
        4,
        7,
    )
    assert (second.type, second.file_id, second.filename) == ("file_citation", "file-1", "sky.txt")


def test_a_refusal_is_one():
    response = shown(text="I cannot.", content=({"type": "refusal", "refusal": "I cannot."},))

    assert response.output[0].content[0].refusal == "I cannot."


@pytest.mark.parametrize("text", ['```json\n{"a": 1}\n```', '{"a": 1}[1]\n\n[1] a.txt'])
def test_json_is_json_alone(text):
    form = {"type": "json_object"}

    assert shown(text=text, parsed={"a": 1}, job={"response_format": form}).output_text == '{"a": 1}'


def test_json_stays_as_the_model_wrote_it():
    form = {"type": "json_object"}

    assert shown(text='{ "a":1 }', parsed={"a": 1}, job={"response_format": form}).output_text == '{ "a":1 }'


def test_tokens_that_the_server_did_not_report_are_not_invented():
    assert shown(text="Blue.", usage=Usage(unreported=1)).usage is None


def test_what_was_asked_for_is_shown():
    schema = {"name": "a", "schema": {"type": "object"}, "strict": True}
    asked = {
        "tools": ["weather", "code_interpreter", {"type": "file_search", "vector_store_ids": ["vs_1"]}],
        "tool_choice": {"type": "function", "function": {"name": "weather"}},
        "response_format": {"type": "json_schema", "json_schema": schema},
        "truncation": {"type": "auto"},
        "keep_thread": True,
    }
    response = shown("queued", job=asked)

    assert [tool.type for tool in response.tools] == ["function", "code_interpreter", "file_search"]
    assert response.tool_choice.name == "weather"
    assert response.text.format.name == "a"
    assert response.truncation == "auto"
    assert response.store is True
