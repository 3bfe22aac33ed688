"""The Batch API: many requests in a file, answered within a day at half the price.

Source: developers.openai.com/api/docs/guides/batch; openai-python types/batch.
"""

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from typing import Any, Literal

import openai

from threadmill.job.result import Failure, FailureKind
from threadmill.secrets.redaction import redact_parsed
from threadmill_worker.answer.json_text import parse
from threadmill_worker.drivers.base.connection import Connection
from threadmill_worker.drivers.chat.replies import parse_completion
from threadmill_worker.drivers.chat.requests import batch_request as batch_completion
from threadmill_worker.drivers.files import expiry
from threadmill_worker.drivers.http.api import Api
from threadmill_worker.drivers.http.bodies import lines
from threadmill_worker.drivers.replies.error_bodies import error_in
from threadmill_worker.drivers.replies.errors import CALL_ERRORS, Target, call_error_of
from threadmill_worker.drivers.replies.json import NotTheApi, as_dict, parse_id
from threadmill_worker.drivers.requests.job_spec import JobSpec
from threadmill_worker.drivers.requests.tags import is_tagged, tag
from threadmill_worker.drivers.responses.replies import parse_response
from threadmill_worker.drivers.responses.requests import batch_request as batch_response
from threadmill_worker.lifecycle.batch_observations import Answered, BatchObservation
from threadmill_worker.lifecycle.observations import Gone, NotSent, Rejected, RunObservation, Unusable
from threadmill_worker.lifecycle.progress import Progress
from threadmill_worker.lifecycle.server_errors import ServerError, failure_of

_OVER = frozenset({"completed", "failed", "expired", "cancelled"})

#: "Enqueued token limit reached for MODEL" (OpenAI), "The number of enqueued tokens has surpassed the configured limit"
#: (Azure): the batch is too large, or too much is in progress. The text does not say which.
_LIMIT_CODE = "token_limit_exceeded"

#: LiteLLM sends a 429 for a batch that is too large.
_LIMIT_TEXT = re.compile(r"batch rate limit exceeded|enqueued token", re.IGNORECASE)

#: Codes of requests that the server did not process.
_UNANSWERED_CODES = frozenset({"batch_expired", "batch_cancelled"})


@dataclass(frozen=True)
class Batched:
    """How runs of one API are batched."""

    url: Literal["/v1/responses", "/v1/chat/completions"]  #: of each request
    request: Callable[[Connection, JobSpec, Progress], Awaitable[dict[str, Any]]]  #: makes that of the job's next run
    parse: Callable[[dict[str, Any]], RunObservation]  #: reads the body of its reply


_RESPONSES = Batched("/v1/responses", batch_response, parse_response)
_CHAT = Batched("/v1/chat/completions", batch_completion, partial(parse_completion, name="batch"))

#: By wire. No batch begins on Assistants: such an endpoint had another wire when its batch began.
BATCHED = {"responses": _RESPONSES, "chat": _CHAT, "assistants": _RESPONSES}


class BatchesRefused(Exception):
    """The server rejected the call; repeating it does not help."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class BatchTooLarge(Exception):
    """A limit of the server is exceeded. It may accept fewer requests; unless `by_itself`, also the same ones later."""

    def __init__(self, reason: str, *, by_itself: bool) -> None:
        super().__init__(reason)
        self.by_itself = by_itself


class BatchesAway(Exception):
    """There was no usable reply. The call may have taken effect."""


class RemoteBatches:
    """The remote batches of one endpoint. Each call raises BatchesRefused, BatchTooLarge or BatchesAway."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._sdk = api.sdk
        self._batched = BATCHED[api.endpoint.wire]

    def line(self, custom_id: str, body: dict[str, Any]) -> bytes:
        """Returns a request as a line of the file."""
        line = {"custom_id": custom_id, "method": "POST", "url": self._batched.url, "body": body}
        return json.dumps(line, ensure_ascii=False).encode() + b"\n"

    async def upload(self, name: str, requests: bytes) -> str:
        """Uploads the requests and returns the id of the file. `name`: the name of the batch."""
        call = self._sdk.files.with_raw_response.create(
            file=(_file_name(name), requests, "application/jsonl"),
            purpose="batch",
            expires_after=expiry() if self._api.endpoint.supports.upload_expiry else openai.omit,
        )
        with self._raising():
            return parse_id((await self._api.call(call)).body)

    async def find_file(self, name: str) -> str | None:
        with self._raising():
            async for file in self._api.pages(self._sdk.files.with_raw_response.list, purpose="batch"):
                if file.get("filename") == _file_name(name):
                    return parse_id(file)
        return None

    async def create(self, file_id: str, name: str) -> str:
        with self._raising():
            call = self._sdk.batches.with_raw_response.create(
                input_file_id=file_id,
                endpoint=self._batched.url,
                completion_window="24h",
                metadata=tag("batch", name),
            )
            return parse_id((await self._api.call(call)).body)

    async def find(self, name: str) -> str | None:
        with self._raising():
            async for batch in self._api.pages(self._sdk.batches.with_raw_response.list):
                if is_tagged(batch, "batch", name):
                    return parse_id(batch)
        return None

    async def look(self, batch_id: str) -> BatchObservation:
        with self._raising(Target.OBJECT):
            body = (await self._api.call(self._sdk.batches.with_raw_response.retrieve(batch_id))).body
        listed = as_dict(body.get("errors")).get("data")
        errors = listed if isinstance(listed, list) else []
        read = [error_in(error) for error in errors]
        reasons = [str(error.message or error.code) for error in read]
        status = str(body.get("status"))
        answers, refused = (str(body[name]) if body.get(name) else None for name in ("output_file_id", "error_file_id"))
        limited = any(error.code == _LIMIT_CODE for error in read)
        lines = [as_dict(error).get("line") for error in errors]
        wrong = {line: reason for line, reason in zip(lines, reasons, strict=True) if isinstance(line, int)}
        return BatchObservation(status, status in _OVER, "; ".join(reasons[:3]), answers, refused, limited, wrong)

    async def custom_ids(self, file_id: str) -> list[str]:
        """Returns the custom ids of the requests in a file, line by line."""
        with self._raising(Target.OBJECT):
            async with self._sdk.files.with_streaming_response.content(file_id) as content:
                limit = self._api.endpoint.file_limit_bytes
                return [_custom_id(_entry(line)) async for line in lines(content.iter_bytes(), limit)]

    async def cancel(self, batch_id: str) -> None:
        with self._raising(Target.OBJECT):
            await self._api.call(self._sdk.batches.with_raw_response.cancel(batch_id))

    async def read(self, file_id: str) -> AsyncIterator[Answered]:
        """Yields the lines of a file of answers or errors, without holding it in memory."""
        with self._raising(Target.OBJECT):
            async with self._sdk.files.with_streaming_response.content(file_id) as content:
                async for line in lines(content.iter_bytes(), self._api.endpoint.reply_limit_bytes):
                    if line.strip():
                        yield _answered(_entry(line), self._batched.parse)

    @contextmanager
    def _raising(self, target: Target = Target.COLLECTION) -> Iterator[None]:
        try:
            yield
        except CALL_ERRORS as error:
            match call_error_of(error, target):
                case Rejected(failure) if failure.code == _LIMIT_CODE:
                    raise BatchTooLarge(failure.message, by_itself=False) from None
                case Rejected(failure) if getattr(error, "status_code", None) == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
                    raise BatchTooLarge(failure.message, by_itself=True) from None
                case Rejected(failure):
                    raise BatchesRefused(failure) from None
                case NotSent(reason) if _LIMIT_TEXT.search(reason):
                    raise BatchTooLarge(reason, by_itself=False) from None
                case Unusable(reason):
                    raise BatchesRefused(Failure(kind=FailureKind.SERVER_ERROR, message=reason)) from None
                case Gone(reason):
                    message = f"the remote batch or its file no longer exists on the server: {reason}"
                    failure = Failure(kind=FailureKind.SERVER_ERROR, message=message, retryable=True)
                    raise BatchesRefused(failure) from None
                case call_error:
                    raise BatchesAway(call_error.reason) from None


def _entry(line: bytes) -> dict[str, Any]:
    try:
        text = line.decode("utf-8", "replace")
        return as_dict(redact_parsed(parse(text), text))
    except ValueError:
        return {}


def _custom_id(entry: dict[str, Any]) -> str:
    return str(entry.get("custom_id"))


def _answered(entry: dict[str, Any], parse_reply: Callable[[dict[str, Any]], RunObservation]) -> Answered:
    response = as_dict(entry.get("response"))
    body, status = as_dict(response.get("body")), response.get("status_code")
    if status == 200:
        try:
            run = replace(parse_reply(body), lane="batch")
        except NotTheApi as error:
            failure = Failure(kind=FailureKind.SERVER_ERROR, message=str(error), retryable=True)
            return Answered(_custom_id(entry), None, failure)
        return Answered(_custom_id(entry), run)
    said = error_in(entry.get("error") or body)
    return Answered(_custom_id(entry), None, _failure(status, said))


def _failure(status: Any, said: ServerError) -> Failure | None:
    """Returns why a request has no answer; None: the server did not process it."""
    if said.code in _UNANSWERED_CODES:
        return None
    message = said.message or said.code or ""
    return failure_of(replace(said, message=message, status=status if isinstance(status, int) else None))


def _file_name(name: str) -> str:
    return f"threadmill-{name}.jsonl"
