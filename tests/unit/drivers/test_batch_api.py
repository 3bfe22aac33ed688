"""What replies of the Batch API mean for a remote batch and for its jobs."""

import json
from typing import Any

import httpx2
import pytest
from tests.answering import client_of

from threadmill.job.result import FailureKind
from threadmill.secrets.redaction import REDACTOR
from threadmill.settings.endpoints.endpoint import Endpoint
from threadmill_worker.drivers.batch_api import (
    BatchesAway,
    BatchesRefused,
    BatchTooLarge,
    RemoteBatches,
    _answered,
    _entry,
)
from threadmill_worker.drivers.http.api import Api
from threadmill_worker.drivers.responses.replies import parse_response

OPENAI_LIMIT = {"code": "token_limit_exceeded", "message": "Enqueued token limit reached for m.", "line": None}
AZURE_LIMIT = {"code": "token_limit_exceeded", "message": "The number of enqueued tokens has surpassed the limit."}


def remote(status: int, body: Any) -> RemoteBatches:
    """A server that answers each call so."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    client = client_of(lambda _: httpx2.Response(status, content=content))
    return RemoteBatches(Api(client, Endpoint(kind="responses", api_key_env=None)))


@pytest.mark.parametrize(
    ("status", "error", "by_itself"),
    [
        (400, OPENAI_LIMIT, False),
        (429, {"message": "Batch rate limit exceeded: 3 requests but only 2 remaining"}, False),
        (413, {"message": "too large"}, True),
    ],
    ids=["enqueued tokens", "LiteLLM", "the file"],
)
async def test_a_batch_that_is_too_large(status, error, by_itself):
    with pytest.raises(BatchTooLarge) as raised:
        await remote(status, {"error": error}).create("file-1", "name")

    assert raised.value.by_itself == by_itself


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (400, {"message": "no"}, FailureKind.REJECTED),
        (401, {"message": "no"}, FailureKind.UNAUTHORISED),
        (404, {"message": "Invalid URL (POST /v1/batches)"}, FailureKind.UNSUPPORTED),
        (429, {"message": "no", "code": "insufficient_quota"}, FailureKind.QUOTA),
    ],
)
async def test_a_batch_that_is_refused(status, error, kind):
    with pytest.raises(BatchesRefused) as raised:
        await remote(status, {"error": error}).create("file-1", "name")

    assert raised.value.failure.kind is kind


@pytest.mark.parametrize("status", [409, 429, 500, 503])
async def test_a_server_that_is_busy(status):
    with pytest.raises(BatchesAway):
        await remote(status, {"error": {"message": "later"}}).create("file-1", "name")


async def test_a_batch_that_the_server_does_not_know_any_more():
    with pytest.raises(BatchesRefused, match="no longer exists on the server"):
        await remote(404, {"error": {"message": "No batch found"}}).look("batch_1")


@pytest.mark.parametrize("error", [OPENAI_LIMIT, AZURE_LIMIT], ids=["OpenAI", "Azure"])
async def test_a_batch_that_failed_for_its_limit(error):
    body = {"id": "batch_1", "status": "failed", "errors": {"object": "list", "data": [error]}}

    seen = await remote(200, body).look("batch_1")

    assert (seen.over, seen.limited, seen.wrong, seen.reason) == (True, True, {}, error["message"])


async def test_a_batch_that_failed_for_one_of_its_lines():
    errors = [{"code": "invalid_json_line", "message": "not JSON", "line": 2}]
    seen = await remote(200, {"id": "batch_1", "status": "failed", "errors": {"data": errors}}).look("batch_1")

    assert (seen.limited, seen.wrong) == (False, {2: "not JSON"})


def answer(status: int | None, error: dict[str, Any]) -> bytes:
    """A line of a file of errors."""
    response = None if status is None else {"status_code": status, "body": {"error": error}}
    line = {"custom_id": "job", "response": response, "error": error if status is None else None}
    return json.dumps(line).encode() + b"\n"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (answer(None, {"code": "batch_expired"}), None),
        (answer(None, {"code": "batch_cancelled"}), None),
        (answer(None, {"code": "server_error"}), (FailureKind.SERVER_ERROR, True)),
        (answer(400, {"message": "bad"}), (FailureKind.REJECTED, False)),
        (answer(400, {"message": "bad", "code": "invalid_prompt"}), (FailureKind.INVALID_PROMPT, False)),
        (answer(401, {"message": "bad"}), (FailureKind.UNAUTHORISED, False)),
        (answer(429, {"message": "later"}), (FailureKind.RATE_LIMITED, True)),
        (answer(429, {"message": "pay", "code": "insufficient_quota"}), (FailureKind.QUOTA, False)),
        (answer(500, {"message": "oops"}), (FailureKind.SERVER_ERROR, True)),
    ],
)
async def test_a_request_without_an_answer(line, expected):
    [each] = [each async for each in remote(200, line).read("file-1")]

    assert (each.custom_id, each.run) == ("job", None)
    assert (each.failure and (each.failure.kind, each.failure.retryable)) == expected


async def test_the_requests_of_a_file_by_line():
    lines = b'{"custom_id": "a"}\n{"custom_id": "b"}\n'

    assert await remote(200, lines).custom_ids("file-1") == ["a", "b"]


@pytest.mark.parametrize("ensure_ascii", [True, False])
def test_an_error_in_the_output_file_holds_no_secret(ensure_ascii):
    REDACTOR.register('sk-"secret"-ä')
    error = {"message": 'no access with sk-"secret"-ä'}
    line = {"custom_id": "job_1", "response": {"status_code": 401, "body": {"error": error}}}
    answered = _answered(_entry(json.dumps(line, ensure_ascii=ensure_ascii).encode()), parse_response)

    assert answered.custom_id == "job_1"
    assert "no access with [key]" in repr(answered)
