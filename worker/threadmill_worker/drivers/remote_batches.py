"""The Batch API: many requests in a file, answered within a day at half the price.

Source: developers.openai.com/api/docs/guides/batch; openai-python types/batch.
"""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import openai

from threadmill.endpoint import Endpoint
from threadmill.redaction import redact_parsed
from threadmill_worker.actions import CreateStore
from threadmill_worker.drivers.api import Api
from threadmill_worker.drivers.assistants_wire import NotTheApi, as_dict, parse_id
from threadmill_worker.drivers.bodies import lines
from threadmill_worker.drivers.connection import Client
from threadmill_worker.drivers.files import expiry
from threadmill_worker.drivers.marks import is_marked, mark
from threadmill_worker.drivers.responses_wire import blocks_of, parse_response
from threadmill_worker.drivers.troubles import trouble_of
from threadmill_worker.json_text import parse
from threadmill_worker.views import AnswerRead, Refused, RunView, Unusable

_OVER = frozenset({"completed", "failed", "expired", "cancelled"})


class BatchesRefused(Exception):
    """The server will not do it, however often it is asked; the text says why."""


class BatchesAway(Exception):
    """No usable reply; what the call was to make may be there."""


@dataclass(frozen=True)
class BatchView:
    """A remote batch as the server shows it."""

    status: str
    over: bool
    reason: str  #: why it failed as a whole; '' if it did not
    answers: str | None  #: id of the file of answers
    errors: str | None  #: id of the file of what went wrong

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(file_id for file_id in (self.answers, self.errors) if file_id)


@dataclass(frozen=True)
class Answered:
    """What came of one request."""

    custom_id: str
    run: RunView | None  #: None: the server refused it, or did not come to it
    answer: AnswerRead
    reason: str = ""


class RemoteBatches:
    """Of one endpoint. Each call raises BatchesRefused or BatchesAway; the key is in neither's text."""

    def __init__(self, client: Client, endpoint: Endpoint) -> None:
        self._api = Api(client, endpoint)
        self._client = client

    async def upload(self, name: str, requests: bytes) -> str:
        """The id of the file, which is found again by the name of the batch."""
        call = self._client.files.with_raw_response.create(
            file=(_file_name(name), requests, "application/jsonl"),
            purpose="batch",
            expires_after=expiry() if self._api.endpoint.expires_after else openai.omit,
        )
        with self._told():
            return parse_id((await self._api.ask(call)).body)

    async def find_file(self, name: str) -> str | None:
        with self._told():
            async for file in self._api.pages(self._client.files.with_raw_response.list, purpose="batch"):
                if file.get("filename") == _file_name(name):
                    return parse_id(file)
        return None

    async def create(self, file_id: str, name: str) -> str:
        with self._told():
            call = self._client.batches.with_raw_response.create(
                input_file_id=file_id,
                endpoint="/v1/responses",
                completion_window="24h",
                metadata=mark("batch", name),
            )
            return parse_id((await self._api.ask(call)).body)

    async def find(self, name: str) -> str | None:
        with self._told():
            async for batch in self._api.pages(self._client.batches.with_raw_response.list):
                if is_marked(batch, "batch", name):
                    return parse_id(batch)
        return None

    async def look(self, batch_id: str) -> BatchView:
        with self._told():
            body = (await self._api.ask(self._client.batches.with_raw_response.retrieve(batch_id))).body
        errors = as_dict(body.get("errors")).get("data")
        reasons = [str(as_dict(error).get("message")) for error in errors] if isinstance(errors, list) else []
        status = str(body.get("status"))
        files = [str(body[name]) if body.get(name) else None for name in ("output_file_id", "error_file_id")]
        return BatchView(status, status in _OVER, "; ".join(reasons[:3]), *files)

    async def cancel(self, batch_id: str) -> None:
        with self._told():
            await self._api.ask(self._client.batches.with_raw_response.cancel(batch_id))

    async def read(self, file_id: str) -> AsyncIterator[Answered]:
        """The lines of a file of answers or errors; it is not held in memory."""
        with self._told():
            async with self._client.files.with_streaming_response.content(file_id) as content:
                async for line in lines(content.iter_bytes(), self._api.endpoint.reply_limit_bytes):
                    if line.strip():
                        yield _answered(line.decode("utf-8", "replace"))

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (openai.OpenAIError, NotTheApi, OSError) as error:
            trouble = trouble_of(error, CreateStore())
            if isinstance(trouble, Refused):
                raise BatchesRefused(trouble.failure.message) from None
            if isinstance(trouble, Unusable):
                raise BatchesRefused(trouble.reason) from None
            raise BatchesAway(trouble.reason) from None


def request_line(custom_id: str, body: dict[str, Any]) -> bytes:
    """A request as a line of the file."""
    line = {"custom_id": custom_id, "method": "POST", "url": "/v1/responses", "body": body}
    return json.dumps(line, ensure_ascii=False).encode() + b"\n"


def _answered(line: str) -> Answered:
    try:
        entry = as_dict(redact_parsed(parse(line), line))
    except ValueError:
        entry = {}
    custom_id, response = str(entry.get("custom_id")), as_dict(entry.get("response"))
    body = as_dict(response.get("body"))
    if response.get("status_code") == 200:
        try:
            return Answered(custom_id, replace(parse_response(body), lane="batch"), AnswerRead(blocks_of(body)))
        except NotTheApi as error:
            return Answered(custom_id, None, AnswerRead(()), str(error))
    said = as_dict(entry.get("error")) or as_dict(body.get("error"))
    reason = str(said.get("message") or said.get("code") or "no reason given")
    return Answered(custom_id, None, AnswerRead(()), reason)


def _file_name(name: str) -> str:
    return f"threadmill-{name}.jsonl"
