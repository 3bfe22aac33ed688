"""The input and output files of batches: one JSON object per line, with a request, its response or its error."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from threadmill_emulator.content.text import tokens
from threadmill_emulator.errors.api_error import ApiError
from threadmill_emulator.errors.refusals import parse
from threadmill_emulator.ids import new_id
from threadmill_emulator.objects.assistants import Object
from threadmill_emulator.schemas.wire import Body
from threadmill_emulator.state.batch_work import Answer, Endpoint, Work

MOST_LINES = 50_000
#: Errors of the requests that had no answer when the batch ended.
UNANSWERED = {
    "cancelled": ("batch_cancelled", "This request was not executed because the batch was cancelled."),
    "expired": ("batch_expired", "This request could not be executed before the completion window expired."),
}


class BatchRequest(Body):
    custom_id: str = Field(min_length=1)
    method: Literal["POST"]
    url: Endpoint
    body: dict[str, Any]


@dataclass
class Line:
    request: BatchRequest
    work: Work | None = None
    answer: Answer | None = None  #: once answered

    @property
    def succeeded(self) -> bool:
        return self.answer is not None and self.answer[0] == 200

    @property
    def tokens(self) -> int:
        """The estimated tokens of its input."""
        body = self.request.body
        return tokens(json.dumps(body.get("input", body.get("messages")), ensure_ascii=False))


def read(data: bytes, endpoint: str) -> tuple[list[Line], list[Object]]:
    """Returns the requests in a file, and the errors in it."""
    lines: list[Line] = []
    errors: list[Object] = []
    seen: set[str] = set()
    for number, text in enumerate(data.decode("utf-8", "replace").splitlines(), start=1):
        if not text.strip():
            continue
        try:
            request = parse(BatchRequest, json.loads(text))
        except ValueError:
            errors.append(_wrong(number, "invalid_json_line", "This line is not parseable as valid JSON."))
            continue
        except ApiError as refusal:
            errors.append(_wrong(number, refusal.code or "invalid_request", refusal.message, refusal.param))
            continue
        if request.url != endpoint:
            message = f"The URL provided for this request does not match the batch endpoint, '{endpoint}'."
            errors.append(_wrong(number, "invalid_url", message, "url"))
        if request.custom_id in seen:
            message = f"The custom_id '{request.custom_id}' for this request is a duplicate of another request."
            errors.append(_wrong(number, "duplicate_custom_id", message, "custom_id"))
        seen.add(request.custom_id)
        lines.append(Line(request))
    if len({str(line.request.body.get("model")) for line in lines}) > 1:
        errors.append(_wrong(None, "mismatched_model", "All requests of a batch must name one model.", "body.model"))
    if not lines and not errors:
        errors.append(_wrong(None, "empty_file", "The input file holds no requests."))
    if len(lines) > MOST_LINES:
        errors.append(_wrong(None, "too_many_requests", f"A batch takes at most {MOST_LINES} requests."))
    return lines, errors


def over_limit(model: str, limit: int) -> Object:
    message = (
        f"Enqueued token limit reached for {model} in organization org-emulator. Limit: {limit:,} enqueued tokens. "
        "Please try again once some in_progress batches have been completed."
    )
    return _wrong(None, "token_limit_exceeded", message)


def answered(line: Line) -> Object:
    assert line.answer
    status, body = line.answer
    return _line(line, {"status_code": status, "request_id": new_id("req"), "body": body}, None)


def unanswered(line: Line, status: str) -> Object:
    code, message = UNANSWERED[status]
    return _line(line, None, {"code": code, "message": message})


def _line(line: Line, response: Object | None, error: Object | None) -> Object:
    return {"id": new_id("batch_req"), "custom_id": line.request.custom_id, "response": response, "error": error}


def written(lines: Iterable[Object]) -> bytes:
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()


def _wrong(number: int | None, code: str, message: str, param: str | None = None) -> Object:
    return {"code": code, "message": message, "param": param, "line": number}
