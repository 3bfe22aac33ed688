"""The lines of a batch's file as jobs. PURE.

A line is a request: `{"custom_id", "method": "POST", "url", "body"}`. Its job has an idempotency key with the number of
the line, so it is enqueued once, however often a gateway tries.
"""

import json
from dataclasses import dataclass
from typing import Any

from threadmill.job.file_batch import FileBatch, LineError
from threadmill.job.prompt import PromptJob
from threadmill.settings.settings import Settings
from threadmill.surrogates import replace_surrogates
from threadmill_gateway.openai.chat import request as chat_request
from threadmill_gateway.openai.errors import ApiError, invalid, unsupported
from threadmill_gateway.openai.fields import Fields
from threadmill_gateway.openai.responses import request as response_request

RESPONSES, CHAT = "/v1/responses", "/v1/chat/completions"

#: The routes that lines can be requests to.
ROUTES = (RESPONSES, CHAT)

#: Lines of a file, as OpenAI has it.
LINES = 50_000

#: Characters of a custom_id; it is a part of the idempotency key.
_CUSTOM_ID = 256


@dataclass(frozen=True)
class Line:
    custom_id: str
    job: PromptJob  #: as the body describes it, without a batch


def read_line(text: bytes, route: str, settings: Settings) -> Line:
    """Returns what a line asks for. Raises ApiError, which names the field."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise ApiError(400, "This line is not valid JSON.", code="invalid_json_line") from None
    fields = Fields(value)
    custom_id = fields.required_text("custom_id")
    if not 0 < len(custom_id) <= _CUSTOM_ID:
        raise invalid("custom_id", f"has {len(custom_id)} characters, and must have 1 to {_CUSTOM_ID}.")
    if replace_surrogates(custom_id) != custom_id:
        raise invalid("custom_id", "has a character that is no text (a lone surrogate).")
    if fields.required_text("method") != "POST":
        raise invalid("method", "must be POST.")
    if fields.required_text("url") != route:
        raise ApiError(400, f"The URL must be that of the batch, {route}.", param="url", code="invalid_url")
    body = fields.mapping("body")
    fields.end()
    return Line(custom_id, _job(body, route, settings))


def _job(body: dict[str, Any] | None, route: str, settings: Settings) -> PromptJob:
    if route == CHAT:
        chat = chat_request.read_request(body, settings)
        if chat.stream:
            raise unsupported("stream", "is not supported in a batch: leave it out.")
        return chat.job
    asked = response_request.read_request(body, settings)
    for name in ("stream", "background", "previous_response_id"):
        if getattr(asked, name):
            raise unsupported(name, "is not supported in a batch: leave it out.")
    return asked.job


def job_of_line(batch: FileBatch, number: int, line: Line) -> PromptJob:
    """Returns the job of a line. `number`: from 1."""
    key = f"{batch.id}/{number}/{line.custom_id}"
    return line.job.model_copy(
        update={
            "batch": batch.batch,
            "tenant": batch.owner,
            "key": f"{batch.owner}/{key}" if batch.owner else key,
            "deadline_at": batch.deadline_at,
        }
    )


def custom_id_of(batch: FileBatch, job: PromptJob) -> str:
    """Returns the custom_id of the line that a job was made of."""
    key = job.key or ""
    return key[key.index(batch.id) :].split("/", 2)[2] if batch.id in key else ""


def line_error(number: int, error: ApiError) -> LineError:
    """Returns what is wrong with a line."""
    return LineError(line=number, message=str(error), code=error.error["code"], param=error.error["param"])
