"""`client.batches`: the lines of a file become jobs, and their results the lines of its files."""

import json

import openai
import pytest
from openai import OpenAI
from tests.served import served

from threadmill import Client, JobState
from threadmill_gateway.app import create_app
from threadmill_gateway.openai.batches import enqueueing

pytestmark = pytest.mark.integration

RESPONSES, CHAT = "/v1/responses", "/v1/chat/completions"


def line(number, route=RESPONSES, **body):
    asked = (
        {"input": f"Question {number}?"} if route == RESPONSES else {"messages": [{"role": "user", "content": "Hi"}]}
    )
    request = {"model": "responses", **asked, **body}
    return {"custom_id": f"q/{number}", "method": "POST", "url": route, "body": request}


def uploaded(sdk, *lines):
    text = "".join(each if isinstance(each, str) else json.dumps(each) + "\n" for each in lines)
    return sdk.files.create(file=("lines.jsonl", text.encode()), purpose="batch").id


def created(sdk, *lines, route=RESPONSES, **more):
    file = uploaded(sdk, *lines)
    return sdk.batches.create(input_file_id=file, endpoint=route, completion_window="24h", **more)


def ended(sdk, until, batch, *statuses):
    statuses = statuses or ("completed", "failed", "expired", "cancelled")
    return until(lambda: (now := sdk.batches.retrieve(batch.id)).status in statuses and now)


def lines_of(sdk, file_id):
    return [json.loads(text) for text in sdk.files.content(file_id).text.splitlines()]


def test_a_batch_of_200_lines_from_end_to_end(sdk, until):
    batch = created(sdk, *(line(number) for number in range(200)), metadata={"order": "4711"})
    assert (batch.object, batch.status, batch.metadata) == ("batch", "validating", {"order": "4711"})
    assert batch.expires_at == batch.created_at + 24 * 3600
    assert batch.id in [each.id for each in sdk.batches.list()]

    done = ended(sdk, until, batch)
    counts = done.request_counts
    assert (done.status, counts.total, counts.completed, counts.failed) == ("completed", 200, 200, 0)
    assert done.completed_at >= done.in_progress_at >= done.created_at
    assert done.usage.total_tokens > 0
    assert done.error_file_id is None

    found = lines_of(sdk, done.output_file_id)
    assert {each["custom_id"] for each in found} == {f"q/{number}" for number in range(200)}
    for each in found:
        assert (each["error"], each["response"]["status_code"]) == (None, 200)
        answer = openai.types.responses.Response.model_validate(each["response"]["body"])
        assert answer.output_text
    file = sdk.files.retrieve(done.output_file_id)
    assert (file.purpose, file.bytes) == ("batch_output", len(sdk.files.content(done.output_file_id).content))


def test_chat_completions_and_failures(sdk, until):
    lines = [line(1, CHAT), line(2, CHAT, messages=[{"role": "user", "content": "[[scenario=invalid_prompt]]"}])]
    done = ended(sdk, until, created(sdk, *lines, route=CHAT))
    assert (done.status, done.request_counts.completed, done.request_counts.failed) == ("completed", 1, 1)
    [answer] = lines_of(sdk, done.output_file_id)
    assert answer["response"]["body"]["choices"][0]["message"]["content"]
    [failure] = lines_of(sdk, done.error_file_id)
    assert (failure["custom_id"], failure["response"]["status_code"]) == ("q/2", 400)
    assert failure["response"]["body"]["error"]["message"]


def test_wrong_lines_are_named_and_nothing_is_enqueued(sdk, until, site):
    lines = [
        line(1),
        "{no json\n",
        line(3) | {"url": CHAT},
        line(1),
        "\n",
        line(5, stream=True),
        line(6, colour="red"),
        line(7, model="nowhere/x") | {"custom_id": ""},
    ]
    batch = ended(sdk, until, created(sdk, *lines))
    assert (batch.status, batch.request_counts.total) == ("failed", 0)
    found = [(each.line, each.code, each.param) for each in batch.errors.data]
    assert found == [
        (2, "invalid_json_line", None),
        (3, "invalid_url", "url"),
        (4, "duplicate_custom_id", "custom_id"),
        (6, "unsupported_parameter", "stream"),
        (7, "unsupported_parameter", "colour"),
        (8, "invalid_value", "custom_id"),
    ]
    assert batch.output_file_id is None
    assert batch.id not in [each.name for each in site.client.batches()]
    with pytest.raises(openai.BadRequestError, match="failed"):
        sdk.batches.cancel(batch.id)


def test_an_empty_file_fails(sdk, until):
    batch = ended(sdk, until, created(sdk, "\n\n"))
    assert [each.code for each in batch.errors.data] == ["empty_file"]


def test_a_batch_is_cancelled(sdk, until, site):
    batch = created(sdk, *(line(number, input="[[run_s=30]]Well?") for number in range(40)))
    ended(sdk, until, batch, "in_progress")
    assert sdk.batches.cancel(batch.id).status in ("cancelling", "cancelled")
    done = ended(sdk, until, batch, "cancelled")
    assert done.cancelled_at >= done.cancelling_at
    assert done.request_counts.failed == site.client.batch(batch.id).total
    if done.error_file_id:
        assert {each["error"]["code"] for each in lines_of(sdk, done.error_file_id)} == {"batch_cancelled"}


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"endpoint": "/v1/embeddings"}, "endpoint"),
        ({"completion_window": "1h"}, "completion_window"),
        ({"input_file_id": "file-unknown"}, "input_file_id"),
        ({"metadata": {"a": "x" * 600}}, "metadata"),
        ({"output_expires_after": {"anchor": "created_at", "seconds": 3600}}, "output_expires_after"),
    ],
)
def test_a_wrong_batch_is_refused(sdk, change, param):
    asked = {"input_file_id": uploaded(sdk, line(1)), "endpoint": RESPONSES, "completion_window": "24h", **change}
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.batches.create(**asked)
    assert refused.value.param == param


def test_a_file_of_another_purpose_and_an_unknown_batch_are_refused(sdk):
    file = sdk.files.create(file=("a.jsonl", b"{}"), purpose="user_data").id
    with pytest.raises(openai.BadRequestError, match="purpose"):
        sdk.batches.create(input_file_id=file, endpoint=RESPONSES, completion_window="24h")
    for call in (sdk.batches.retrieve, sdk.batches.cancel):
        with pytest.raises(openai.NotFoundError):
            call("batch_00000000000000000000000000000000")


def test_pages_follow_each_other(sdk, until):
    made = [created(sdk, line(number)).id for number in range(3)]
    assert [each.id for each in sdk.batches.list(limit=1)][:3] == made[::-1]


def test_a_gateway_continues_what_another_one_left(make_settings, base_url, until, monkeypatch):
    """The first gateway stops after 20 of 100 lines; the second one enqueues the rest, each line once."""
    settings = make_settings(base_url, {"wire": "responses", "model": "emulator-1", "assistant": None})
    client = Client(settings)
    monkeypatch.setattr(enqueueing, "_AT_ONCE", 10)
    monkeypatch.setattr(enqueueing, "LOOK_S", 0.05)
    enqueue = enqueueing.enqueue_lines
    calls = []

    def twice(*args, **kwargs):
        calls.append(args)
        if len(calls) > 2:
            raise RuntimeError("the gateway is killed")
        enqueue(*args, **kwargs)

    monkeypatch.setattr(enqueueing, "enqueue_lines", twice)
    with served(create_app(settings)) as url, OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as sdk:
        batch = created(sdk, *(line(number, model="emulator") for number in range(100)))
        until(lambda: len(calls) > 2)
        with pytest.raises(openai.BadRequestError, match="in use"):
            sdk.files.delete(batch.input_file_id)
    assert client.batch(batch.id).total == 20

    client.store.change_file_batch(batch.id, enqueued=10)  # it was killed before it could say that ten more are jobs
    monkeypatch.setattr(enqueueing, "enqueue_lines", enqueue)
    with served(create_app(settings)) as url, OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as sdk:
        until(lambda: not client.store.unfinished_file_batches())
        assert sdk.batches.retrieve(batch.id).status == "in_progress"
        assert sdk.files.delete(batch.input_file_id).deleted
    jobs = client.jobs(batch=batch.id, limit=1000)
    assert len(jobs) == 100
    assert {each.job.key.split("/", 2)[2] for each in jobs} == {f"q/{number}" for number in range(100)}
    assert {each.state for each in jobs} == {JobState.QUEUED}
