"""A line of a batch's file is a job, or is refused by the name of its field."""

import io
import json
from datetime import UTC, datetime

import pytest

from threadmill.job.file_batch import FileBatch
from threadmill_gateway.openai.batches import file as batch_file
from threadmill_gateway.openai.batches.file import FileLine, next_lines
from threadmill_gateway.openai.batches.lines import CHAT, RESPONSES, custom_id_of, job_of_line, read_line
from threadmill_gateway.openai.errors import ApiError

BODIES = {
    RESPONSES: {"model": "gpt-5", "input": "Well?"},
    CHAT: {"model": "gpt-5", "messages": [{"role": "user", "content": "Well?"}]},
}


@pytest.fixture
def read(settings):
    def read(route=RESPONSES, body=None, **fields):
        line = {"custom_id": "a", "method": "POST", "url": route, "body": {**BODIES[route], **(body or {})}, **fields}
        return read_line(json.dumps(line).encode(), route, settings)

    return read


@pytest.mark.parametrize("route", BODIES)
@pytest.mark.parametrize("owner", [None, "anna"])
def test_a_line_becomes_a_job(route, owner, read):
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    batch = FileBatch(
        id="batch_1",
        owner=owner,
        batch="b",
        route=route,
        upload_id="file-tm-1",
        completion_window="24h",
        created_at=moment,
        deadline_at=moment,
    )
    job = job_of_line(batch, 7, read(route, custom_id="a/b"))
    assert job.conversation[0].text == "Well?"
    assert (job.batch, job.tenant, job.deadline_at) == ("b", owner, moment)
    assert job.key == ("anna/" if owner else "") + "batch_1/7/a/b"
    assert custom_id_of(batch, job) == "a/b"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"custom_id": None}, "custom_id"),
        ({"custom_id": ""}, "custom_id"),
        ({"custom_id": "x" * 257}, "custom_id"),
        ({"custom_id": 1}, "custom_id"),
        ({"custom_id": "\ud800"}, "custom_id"),
        ({"method": "GET"}, "method"),
        ({"url": CHAT}, "url"),
        ({"colour": "red"}, "colour"),
        ({"body": {**BODIES[RESPONSES], "stream": True}}, "stream"),
        ({"body": {**BODIES[RESPONSES], "background": True}}, "background"),
        ({"body": {**BODIES[RESPONSES], "previous_response_id": "resp_1"}}, "previous_response_id"),
        ({"body": {"model": "gpt-5"}}, "input"),
    ],
)
def test_a_wrong_line_names_the_field(fields, param, read, settings):
    line = {"custom_id": "a", "method": "POST", "url": RESPONSES, "body": BODIES[RESPONSES], **fields}
    with pytest.raises(ApiError) as refused:
        read_line(json.dumps(line).encode(), RESPONSES, settings)
    assert refused.value.error["param"] == param


@pytest.mark.parametrize("text", [b"{", b"\xff", b"[" * 100_000, b"", b"[]"])
def test_what_is_no_object_is_refused(text, settings):
    with pytest.raises(ApiError):
        read_line(text, RESPONSES, settings)


def test_lines_are_read_in_steps_and_keep_their_numbers():
    file = io.BytesIO(b"a\n\n b \r\nc")
    assert next_lines(file, 0, 2) == [FileLine(1, b"a"), FileLine(2, b"")]
    assert next_lines(file, 2, 5) == [FileLine(3, b"b"), FileLine(4, b"c")]
    assert next_lines(file, 4, 5) == []


def test_a_line_that_is_too_long_is_cut(monkeypatch):
    monkeypatch.setattr(batch_file, "LINE_BYTES", 4)
    file = io.BytesIO(b"aaaaaaaaaaaa\nbb\naaaa")
    assert next_lines(file, 0, 9) == [FileLine(1, b"aaaa"), FileLine(2, b"bb"), FileLine(3, b"aaaa")]
