"""The body of POST /v1/responses as a job. PURE.

A parameter without a counterpart in a job is refused, unless it has the value that OpenAI documents as the default.
"""

from dataclasses import dataclass
from typing import Any

from threadmill.job.message import UPLOAD, UPLOAD_ID
from threadmill.job.prompt import PromptJob
from threadmill.settings.settings import Settings
from threadmill_gateway.openai.conversation import Conversation, detail, image_part, read_conversation, text_part
from threadmill_gateway.openai.errors import invalid, missing, unsupported
from threadmill_gateway.openai.fields import Fields
from threadmill_gateway.openai.job_fields import NAMES, job_with, shared_fields
from threadmill_gateway.openai.model_names import target_of

#: The parameters of a request by the names that a job has for them.
PARAMS = NAMES | {
    "messages": "input",
    "additional_instructions": "input",
    "max_completion_tokens": "max_output_tokens",
    "response_format": "text.format",
    "thread": "previous_response_id",
    "keep_thread": "store",
}


@dataclass(frozen=True)
class ResponseRequest:
    job: PromptJob  #: without the thread, which only the previous response knows
    background: bool
    stream: bool
    previous_response_id: str | None


def read_request(body: Any, settings: Settings) -> ResponseRequest:
    """Returns what the body asks for. Raises ApiError, which names the parameter."""
    fields = Fields(body)
    target = target_of(fields.required_text("model"), settings)
    job = {
        **target.fields,
        **_input(fields).fields,
        **shared_fields(fields, settings, target.endpoint),
        "instructions": fields.text("instructions"),
        "max_completion_tokens": fields.integer("max_output_tokens"),
        "response_format": _format(fields),
        "truncation": _truncation(fields),
        "keep_thread": fields.flag("store") or False,
    }
    request = ResponseRequest(
        job=job_with(job, PARAMS),
        background=fields.flag("background") or False,
        stream=job["stream"],
        previous_response_id=fields.text("previous_response_id"),
    )
    _refuse_the_rest(fields)
    return request


def _input(fields: Fields) -> Conversation:
    value = fields.any("input")
    if value is None:
        raise missing("input")
    if isinstance(value, str):
        value = [{"role": "user", "content": value}]
    if not isinstance(value, list):
        raise invalid("input", "must be a string or a list of items.")
    items = [Fields(item, f"input[{at}]") for at, item in enumerate(value)]
    return read_conversation(items, "input", _read_item, _part)


def _read_item(item: Fields) -> None:
    """Reads what an item has besides a role and content. Items of earlier responses have an id and a status."""
    kind = item.text("type")
    if kind not in (None, "message"):
        raise unsupported(item.path("type"), f"is {kind!r:.100}: send messages only; tools run in the workers.")
    for name in ("id", "status"):
        item.text(name)
    item.only("phase")


def _part(part: Fields) -> dict[str, Any]:
    kind = part.required_text("type")
    match kind:
        case "input_text" | "output_text":
            for name in ("annotations", "logprobs"):  # of the text of an earlier response
                part.any(name)
            return text_part(part.required_text("text"))
        case "refusal":
            return text_part(part.required_text("refusal"))
        case "input_image":
            return _image(part)
        case "input_file":
            raise unsupported(part.path("type"), "is 'input_file': give the text of the file, or use POST /v1/jobs.")
        case _:
            raise unsupported(part.path("type"), f"is {kind!r:.100}: use input_text or input_image.")


def _image(part: Fields) -> dict[str, Any]:
    url, file_id = part.text("image_url"), part.text("file_id")
    if (url is None) == (file_id is None):
        raise invalid(part.path("image_url"), "an image has either `image_url` or `file_id`.")
    if url is not None:
        return image_part(part, "image_url", url)
    if UPLOAD_ID.match(file_id or ""):
        return image_part(part, "file_id", f"{UPLOAD}{file_id}")
    return {"type": "image_file", "image_file": {"file_id": file_id, "detail": detail(part)}}


def _format(fields: Fields) -> dict[str, Any] | None:
    """Returns the `response_format` of a job, which has the schema one level deeper."""
    text = fields.object("text")
    if text is None:
        return None
    text.only("verbosity", "medium")
    form = text.mapping("format")
    text.end()
    match form:
        case None | {"type": "text"}:
            return None
        case {"type": "json_object"}:
            return {"type": "json_object"}
        case {"type": "json_schema"}:
            schema = {name: value for name, value in form.items() if name != "type" and value is not None}
            return {"type": "json_schema", "json_schema": schema}
        case _:
            raise unsupported("text.format", "must be of type text, json_object or json_schema.")


def _truncation(fields: Fields) -> dict[str, Any] | None:
    return {"type": "auto"} if fields.word("truncation", "auto", "disabled") == "auto" else None


def _refuse_the_rest(fields: Fields) -> None:
    reasoning = fields.object("reasoning")
    if reasoning is not None:
        for name in ("effort", "summary", "generate_summary"):
            reasoning.only(name, remedy="set reasoning_effort in a profile, and use the model ENDPOINT/PROFILE")
        reasoning.end()
    options = fields.object("stream_options")
    if options is not None:
        options.flag("include_obfuscation")  # no stream has padding, which does not change its meaning
        options.end()
    fields.only("include", [])
    fields.only("top_logprobs", 0)
    fields.only("conversation", remedy="use previous_response_id")
    fields.only("prompt", remedy="use a profile, by the model ENDPOINT/PROFILE")
    fields.end()
