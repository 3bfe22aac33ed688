"""Judges the replies to the prompts of a check. PURE."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from threadmill_worker.answer.json_text import parse
from threadmill_worker.drivers.chat.thinking import split_thinking
from threadmill_worker.drivers.http.exchange import Reply
from threadmill_worker.drivers.replies.json import as_dict
from threadmill_worker.drivers.replies.paths import UNAUTHORISED, object_in
from threadmill_worker.drivers.streaming.sse import Frames, TooLong
from threadmill_worker.lifecycle.observations import ENDED

#: The field of the structured answer that is asked for.
ANSWER = "colour"

#: Statuses of a server that cannot answer now, which say nothing about its features.
_NOT_NOW = frozenset({408, 409, 425, 429}) | UNAUTHORISED

#: Words of a refusal, which llama.cpp sends with status 500 for images, and LiteLLM for parameters.
_UNSUPPORTED = re.compile(r"\bnot supported\b|\bunsupported\b|\b(?:does not|doesn't) support\b", re.IGNORECASE)

#: OpenAI's Chat Completions refuses a request whose limit a reasoning model has used up before it wrote anything.
_CUT = "output limit was reached"


def is_answered(reply: Reply) -> bool:
    """Whether a prompt was answered, with an object of one of the APIs."""
    body = object_in(reply.text)
    return reply.status == 200 and (bool(_choice(body)) or "output" in body) and not body.get("error")


def is_cut(reply: Reply) -> bool:
    """Whether a request was refused because its answer would be longer than its limit."""
    return reply.status == 400 and _CUT in reply.text


def accepts(reply: Reply) -> bool | None:
    """Whether the server accepts what a request contains; None: it cannot say now."""
    if is_answered(reply):
        return True
    is_broken = reply.status >= 500 and not _UNSUPPORTED.search(reply.text)
    return None if is_broken or reply.status in _NOT_NOW or reply.status == 200 or is_cut(reply) else False


def names(reply: Reply, field: str) -> bool:
    """Whether a request was refused with words about this field."""
    return 400 <= reply.status < 500 and field in reply.text


def heeds_limit(reply: Reply, limit: int) -> bool | None:
    """Whether the answer kept to a limit of its tokens; None: the reply does not show it."""
    body = object_in(reply.text)
    if _choice(body).get("finish_reason") == "length" or is_cut(reply):
        return True
    used = as_dict(body.get("usage")).get("completion_tokens")
    return used <= limit if isinstance(used, int) else None


def calls_function(reply: Reply) -> bool | None:
    """Whether the model called the function; None: it answered otherwise, which a model may."""
    if not is_answered(reply):
        return accepts(reply)
    body = object_in(reply.text)
    calls = as_dict(_choice(body).get("message")).get("tool_calls")
    return True if calls or any(item.get("type") == "function_call" for item in _output(body)) else None


def keeps_schema(reply: Reply) -> bool | None:
    """Whether the answer has the form that the schema demands; None: the answer is cut off, or there is none."""
    if not is_answered(reply):
        return accepts(reply)
    body = object_in(reply.text)
    if _choice(body).get("finish_reason") == "length" or body.get("status") == "incomplete":
        return None
    try:
        return isinstance(as_dict(parse(split_thinking(text_of(body))[1])).get(ANSWER), str)
    except ValueError:
        return False


def in_background(body: Mapping[str, Any]) -> bool:
    """Whether a response that was asked for in the background is made there."""
    return body.get("status") not in ENDED or body.get("background") is True


def stream_of(reply: Reply) -> list[dict[str, Any]]:
    """Returns the JSON objects of an event stream; []: the reply is none."""
    if reply.status != 200 or not reply.is_stream:
        return []
    try:
        frames = list(Frames(len(reply.text) * 4 + 4).feed(reply.text.encode() + b"\n\n"))
    except TooLong:
        return []
    return [body for frame in frames if (body := dict(object_in(frame.data.decode("utf-8", "replace"))))]


def has_text(events: list[dict[str, Any]]) -> bool:
    """Whether the events of a stream are those of one of the APIs."""
    return any(_choice(event) or str(event.get("type")).startswith("response.") for event in events)


def has_usage(events: list[dict[str, Any]]) -> bool:
    return any(as_dict(event.get("usage")) for event in events)


def id_of(events: list[dict[str, Any]]) -> str | None:
    """Returns the id of a streamed response."""
    ids = (as_dict(event.get("response")).get("id") for event in events)
    return next((each for each in ids if isinstance(each, str) and each), None)


def text_of(body: Mapping[str, Any]) -> str:
    content = as_dict(_choice(body).get("message")).get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else [part for item in _output(body) for part in _parts(item)]
    return "".join(str(as_dict(part).get("text") or "") for part in parts)


def error_in_stream(events: list[dict[str, Any]]) -> str:
    """Returns the error that a stream contains, as JSON; '': none."""
    return next((json.dumps(event["error"]) for event in events if event.get("error")), "")


def _choice(body: Mapping[str, Any]) -> dict[str, Any]:
    choices = body.get("choices")
    return as_dict(choices[0]) if isinstance(choices, list) and choices else {}


def _output(body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    output = body.get("output")
    yield from (item for item in (output if isinstance(output, list) else ()) if isinstance(item, dict))


def _parts(item: Mapping[str, Any]) -> list[Any]:
    content = item.get("content")
    return content if item.get("type") == "message" and isinstance(content, list) else []
