"""Batches: a file of requests in, a file of answers and one of errors out."""

import json
import time
from typing import Any

import openai
import pytest
from openai import OpenAI

from threadmill_emulator.scripting.options import Options
from threadmill_emulator.testing import Running, running

pytestmark = pytest.mark.integration
OPTIONS = Options(run_s=5, batch_s=0.2)


def request(id: str, input: str, **more: Any) -> dict[str, Any]:
    body = {"model": "emulator", "input": input}
    return {"custom_id": id, "method": "POST", "url": "/v1/responses", "body": body} | more


def chat(id: str, text: str, **more: Any) -> dict[str, Any]:
    body = {"model": "emulator", "messages": [{"role": "user", "content": text}]} | more
    return {"custom_id": id, "method": "POST", "url": "/v1/chat/completions", "body": body}


def batch(client: OpenAI, *lines: Any, endpoint: Any = "/v1/responses") -> Any:
    written = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    file = client.files.create(file=("in.jsonl", written.encode() or b"\n"), purpose="batch")
    return client.batches.create(input_file_id=file.id, endpoint=endpoint, completion_window="24h", metadata={"a": "b"})


def ended(client: OpenAI, batch: Any) -> tuple[Any, list[str]]:
    """The batch, and the statuses it was seen in."""
    seen = [batch.status]
    while batch.status not in ("completed", "failed", "cancelled", "expired"):
        time.sleep(0.005)
        batch = client.batches.retrieve(batch.id)
        seen += [batch.status] if batch.status != seen[-1] else []
    return batch, seen


def lines(client: OpenAI, file_id: str) -> dict[str, Any]:
    assert client.files.retrieve(file_id).purpose == "batch_output"
    read = map(json.loads, client.files.content(file_id).text.splitlines())
    return {line["custom_id"]: line for line in read}


def test_good_and_bad_requests(client: OpenAI):
    made = batch(
        client,
        request("one", "[[scenario=echo]]hi"),
        request("two", "[[scenario=rate_limited]]hi"),
        request("three", "hi", body={"model": "emulator", "input": "hi", "bogus": 1}),
    )
    assert (made.status, made.request_counts.total, made.metadata) == ("validating", 0, {"a": "b"})
    done, seen = ended(client, made)
    statuses = ["validating", "in_progress", "finalizing", "completed"]
    assert (seen, seen[-1]) == ([each for each in statuses if each in seen], "completed")  # some pass between two looks
    counts = done.request_counts
    assert (counts.total, counts.completed, counts.failed) == (3, 1, 2)
    assert done.in_progress_at <= done.finalizing_at <= done.completed_at <= done.expires_at
    good, bad = lines(client, done.output_file_id), lines(client, done.error_file_id)
    answer = good["one"]["response"]
    assert (answer["status_code"], answer["body"]["output"][0]["content"][0]["text"]) == (200, "hi")
    assert client.responses.retrieve(answer["body"]["id"]).output_text == "hi"
    assert bad["two"]["response"]["status_code"] == 429
    assert bad["three"]["response"]["body"]["error"]["message"] == "Unknown parameter: 'bogus'."
    assert [each.id for each in client.batches.list()] == [done.id]
    with pytest.raises(openai.BadRequestError, match="'completed'"):
        client.batches.cancel(done.id)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("{", "invalid_json_line"),
        (request("a", "x", url="/v1/chat/completions"), "invalid_url"),
        (request("a", "x", method="GET"), "invalid_value"),
        ({"custom_id": "b"}, "missing_required_parameter"),
        (request("first", "x"), "duplicate_custom_id"),
    ],
)
def test_a_wrong_line_fails_the_whole(client: OpenAI, line: Any, code: str):
    done, seen = ended(client, batch(client, request("first", "hi"), line))
    assert seen == ["validating", "failed"]
    (error,) = done.errors.data
    assert (error.code, error.line) == (code, 2)
    assert (done.output_file_id, done.error_file_id) == (None, None)


def test_one_model_and_some_requests(client: OpenAI):
    two = [request("a", "x"), request("b", "x", body={"model": "other", "input": "x"})]
    assert ended(client, batch(client, *two))[0].errors.data[0].code == "mismatched_model"
    assert ended(client, batch(client))[0].errors.data[0].code == "empty_file"


def test_a_cancelled_batch_keeps_what_is_done(client: OpenAI, server: Running):
    made = batch(client, request("done", "hi"), request("stuck", "[[scenario=stuck]]hi"))
    while client.batches.retrieve(made.id).request_counts.completed == 0:
        time.sleep(0.01)
    assert client.batches.cancel(made.id).status == "cancelling"
    done, _ = ended(client, client.batches.retrieve(made.id))
    assert done.status == "cancelled"
    assert list(lines(client, done.output_file_id)) == ["done"]
    left = lines(client, done.error_file_id)["stuck"]
    assert (left["response"], left["error"]["code"]) == (None, "batch_cancelled")
    assert [each.status for each in server.emulator.state.responses.all()] == ["completed"]


def test_batches_above_the_limit_on_enqueued_tokens_fail():
    with (
        running(Options(batch_s=0.5, batch_tokens=10)) as server,
        OpenAI(base_url=server.base_url, api_key="k") as client,
    ):
        first, second = (batch(client, request("one", "How much wood would a woodchuck?")) for _ in range(2))

        done, refused = (ended(client, each)[0] for each in (first, second))

        assert (done.status, refused.status) == ("completed", "failed")
        [error] = refused.errors.data
        assert (error.code, error.line, error.message.split(" in organization")[0]) == (
            "token_limit_exceeded",
            None,
            "Enqueued token limit reached for emulator",
        )
        assert ended(client, batch(client, request("one", "How much wood would a woodchuck?")))[0].status == "completed"


def test_chat_completions(client: OpenAI, server: Running):
    lines_in = [
        chat("one", "[[scenario=echo]]hi"),
        chat("two", "[[scenario=tools]]hi"),
        chat("three", "[[scenario=rate_limited]]hi"),
        chat("four", "hi", n=2),
    ]
    done, _ = ended(client, batch(client, *lines_in, endpoint="/v1/chat/completions"))
    assert done.endpoint == "/v1/chat/completions"
    good, bad = lines(client, done.output_file_id), lines(client, done.error_file_id)
    choices = {id: line["response"]["body"]["choices"][0] for id, line in good.items()}
    assert choices["one"]["message"]["content"] == "hi"
    assert choices["two"]["finish_reason"] == "tool_calls"
    assert {id: line["response"]["status_code"] for id, line in bad.items()} == {"three": 429, "four": 400}
    assert server.emulator.state.completions.active == {}


def test_a_cancelled_batch_leaves_no_chat_completion(client: OpenAI, server: Running):
    made = batch(client, chat("one", "[[scenario=stuck]]hi"), endpoint="/v1/chat/completions")
    while client.batches.retrieve(made.id).status != "in_progress":
        time.sleep(0.005)
    ended(client, client.batches.cancel(made.id))
    assert server.emulator.state.completions.active == {}
