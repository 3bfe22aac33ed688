"""The body of POST /v1/chat/completions as a job. PURE.

As in responses/request.py, what has no counterpart in a job is refused.
"""

from dataclasses import dataclass
from typing import Any

from threadmill.job.prompt import PromptJob
from threadmill.settings.settings import Settings
from threadmill_gateway.openai.conversation import Conversation, image_part, read_conversation, text_part
from threadmill_gateway.openai.errors import invalid, missing, unsupported
from threadmill_gateway.openai.fields import Fields
from threadmill_gateway.openai.job_fields import NAMES, job_with, shared_fields
from threadmill_gateway.openai.model_names import target_of

#: The parameters of a request by the names that a job has for them.
PARAMS = NAMES | {"additional_instructions": "messages"}

#: Parameters that jobs do not have, with the values that OpenAI documents as their defaults.
_DEFAULTS: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "store": (False,),
    "presence_penalty": (0, 0.0),
    "frequency_penalty": (0, 0.0),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "modalities": (["text"],),
    "verbosity": ("medium",),
    "stop": ([],),
}


@dataclass(frozen=True)
class ChatRequest:
    job: PromptJob
    stream: bool
    include_usage: bool  #: the stream ends with the tokens


def read_request(body: Any, settings: Settings) -> ChatRequest:
    """Returns what the body asks for. Raises ApiError, which names the parameter."""
    fields = Fields(body)
    target = target_of(fields.required_text("model"), settings)
    job = {
        **target.fields,
        **_messages(fields).fields,
        **shared_fields(fields, settings, target.endpoint),
        "max_completion_tokens": _token_limit(fields),
        "response_format": _format(fields),
        "seed": fields.integer("seed"),
    }
    request = ChatRequest(job_with(job, PARAMS), job["stream"], _includes_usage(fields))
    fields.only("reasoning_effort", remedy="set it in a profile, and use the model ENDPOINT/PROFILE")
    for name, accepted in _DEFAULTS.items():
        fields.only(name, *accepted)
    fields.end()
    return request


def _messages(fields: Fields) -> Conversation:
    messages = fields.objects("messages")
    if messages is None:
        raise missing("messages")
    return read_conversation(messages, "messages", _read_message, _part)


def _read_message(message: Fields) -> None:
    """Refuses what a message has besides a role and content. Messages of earlier completions have empty fields."""
    message.only("tool_calls", [], remedy="leave it out; tools run in the workers")
    message.only("annotations", [])
    for name in ("refusal", "name", "function_call", "audio"):
        message.only(name)


def _part(part: Fields) -> dict[str, Any]:
    kind = part.required_text("type")
    match kind:
        case "text":
            return text_part(part.required_text("text"))
        case "refusal":
            return text_part(part.required_text("refusal"))
        case "image_url":
            image = part.object("image_url")
            if image is None:
                raise missing(part.path("image_url"))
            content = image_part(image, "url", image.required_text("url"))
            image.end()
            return content
        case _:
            raise unsupported(part.path("type"), f"is {kind!r:.100}: use text or image_url.")


def _token_limit(fields: Fields) -> int | None:
    """Returns the limit of the answer; `max_tokens` is its earlier name."""
    limit, earlier = fields.integer("max_completion_tokens"), fields.integer("max_tokens")
    if limit is not None and earlier not in (None, limit):
        raise invalid("max_tokens", "is another number than max_completion_tokens: leave one of them out.")
    return earlier if limit is None else limit


def _format(fields: Fields) -> dict[str, Any] | None:
    form = fields.mapping("response_format")
    match form:
        case None | {"type": "text"}:
            return None
        case {"type": "json_object" | "json_schema"}:
            return form
        case _:
            raise unsupported("response_format", "must be of type text, json_object or json_schema.")


def _includes_usage(fields: Fields) -> bool:
    options = fields.object("stream_options")
    if options is None:
        return False
    options.flag("include_obfuscation")  # no stream has padding, which does not change its meaning
    includes = options.flag("include_usage") or False
    options.end()
    return includes
