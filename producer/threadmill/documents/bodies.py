"""The body of a request to /v1/chat/completions or /v1/responses as a job. PURE.

Field by field as in openai/openai-openapi (createChatCompletion, createResponse). What a job has no word for is
refused by its name, unless it is null or has a value that changes nothing.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from threadmill.documents.template import BadDocument
from threadmill.message import is_path

#: Fields that go over as they are: theirs -> ours.
_AS_THEY_ARE = ("model", "temperature", "top_p", "metadata", "tools", "tool_choice", "parallel_tool_calls")
_SAME = {name: name for name in _AS_THEY_ARE}
_CHAT = _SAME | {
    "max_completion_tokens": "max_completion_tokens",
    "max_tokens": "max_completion_tokens",
    "response_format": "response_format",
}
_RESPONSES = _SAME | {"max_output_tokens": "max_completion_tokens", "instructions": "instructions"}

#: Fields that say nothing of the answer, whatever they hold.
_INDIFFERENT = {"store", "user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "background"}

#: Fields with the values that change nothing.
_DEFAULTS: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "stream": (False,),
    "stream_options": ({},),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "logit_bias": ({},),
    "stop": ([],),
    "modalities": (["text"],),
    "service_tier": ("auto", "default"),
    "include": ([],),
    "reasoning": ({},),
    "tools": ([],),
    "metadata": ({},),
}

#: Those whose words go to `instructions`.
_INSTRUCTING = ("system", "developer")


def fields_of(url: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of PromptJob; raises BadDocument, which names the field that it cannot have."""
    left = {name: value for name, value in body.items() if not _changes_nothing(name, value)}
    is_chat = url == "/v1/chat/completions"
    fields: dict[str, Any] = {}
    for theirs, ours in (_CHAT if is_chat else _RESPONSES).items():
        if theirs in left and ours not in fields:
            fields[ours] = left.pop(theirs)
    if "tools" in fields:
        fields["tools"] = [_nested(tool, "tools") for tool in _list(fields["tools"], "tools")]
    if isinstance(fields.get("tool_choice"), dict):
        fields["tool_choice"] = _nested(fields["tool_choice"], "tool_choice")
    if not is_chat:
        fields |= _of_responses(left)
    name = "messages" if is_chat else "input"
    given = left.pop(name, None)
    if left:
        fields_left = f"field{'s' * (len(left) > 1)} {', '.join(map(repr, left))}"
        raise BadDocument(f"has the unsupported {fields_left}; remove {'them' if len(left) > 1 else 'it'}")
    said = [{"role": "user", "content": given}] if isinstance(given, str) else _list(given, name)
    instructions, messages = _conversation(said, name)
    if instructions:
        first = [_plain(fields["instructions"], "instructions")] if "instructions" in fields else []
        fields["instructions"] = "\n\n".join([*first, *instructions])
    return fields | {"messages": messages}


def in_terms_of(url: str, body: Mapping[str, Any], message: str) -> str:
    """A message about a job's fields, with each field under the name that the body has for it."""
    is_chat = url == "/v1/chat/completions"
    names = {ours: theirs for theirs, ours in (_CHAT if is_chat else _RESPONSES).items() if theirs in body}
    if not is_chat:
        names |= {"messages": "input", "response_format": "text.format", "truncation.type": "truncation"}
    for ours, theirs in names.items():
        message = re.sub(rf"`{re.escape(ours)}(?=[`.])", f"`{theirs}", message)
    return message


def _changes_nothing(name: str, value: Any) -> bool:
    if value is None or name in _INDIFFERENT:
        return True
    is_flag = isinstance(value, bool)  # which equals a number
    return any(value == default and is_flag is isinstance(default, bool) for default in _DEFAULTS.get(name, ()))


def _of_responses(left: dict[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    text = left.pop("text", None) or {}
    form = text.get("format") if isinstance(text, dict) else None
    if text != {} and (not isinstance(text, dict) or set(text) != {"format"} or not isinstance(form, dict)):
        raise BadDocument("has a 'text' with more than a format, for which a job has no word; leave it out")
    if form:
        fields["response_format"] = _inner(form, "json_schema") if form.get("type") == "json_schema" else form
    if "truncation" in left:
        fields["truncation"] = {"type": left.pop("truncation")}
    return fields


def _nested(value: Any, where: str) -> dict[str, Any]:
    """A function as Assistants and Chat Completions write it."""
    if not isinstance(value, dict) or value.get("type") != "function":
        raise BadDocument(f"{where}: a job of a request has functions alone; leave out {_short(value)}")
    return value if "function" in value else _inner(value, "function")


def _inner(value: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """{"type": T, ...} -> {"type": T, T: {...}}"""
    return {"type": kind, kind: {name: each for name, each in value.items() if name != "type" and each is not None}}


def _conversation(said: Sequence[Any], name: str) -> tuple[list[str], list[dict[str, Any]]]:
    instructions: list[str] = []
    messages: list[dict[str, Any]] = []
    for index, message in enumerate(said):
        where = f"{name}[{index}]"
        if not isinstance(message, dict) or message.get("type", "message") != "message":
            raise BadDocument(f"{where}: a job has messages alone, not {_short(message)}")
        role, content = message.get("role"), message.get("content")
        more = [key for key, value in message.items() if key not in _OF_A_MESSAGE and value not in (None, [])]
        if more:
            raise BadDocument(f"{where} has {more[0]!r}, for which a job has no word; leave it out")
        if role in _INSTRUCTING:
            if messages:
                raise BadDocument(f"{where}: a {role} message comes after others; a job has instructions before all")
            instructions.append(_plain(content, where))
        elif role in ("user", "assistant"):
            messages.append({"role": role, "content": _content(content, where)})
        else:
            raise BadDocument(f"{where}: the role {role!r} is none of system, developer, user and assistant")
    if not messages:
        raise BadDocument(f"{name}: no message of a user; there is nothing to ask")
    return instructions, messages


#: What a message may hold; ids and states of output items that are sent again say nothing.
_OF_A_MESSAGE = {"role", "content", "type", "id", "status"}


def _content(content: Any, where: str) -> Any:
    if isinstance(content, str):
        return content
    return [_part(part, f"{where}.content[{index}]") for index, part in enumerate(_list(content, f"{where}.content"))]


def _part(part: Any, where: str) -> dict[str, Any]:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind in ("text", "input_text", "output_text"):
        return {"type": "text", "text": part.get("text")}
    if kind == "image_url" and isinstance(part.get("image_url"), dict):
        return _image(part["image_url"].get("url"), part["image_url"].get("detail"), where)
    if kind == "input_image" and part.get("file_id"):
        return {"type": "image_file", "image_file": _with_detail({"file_id": part["file_id"]}, part.get("detail"))}
    if kind == "input_image":
        return _image(part.get("image_url"), part.get("detail"), where)
    raise BadDocument(f"{where}: a job's messages have text and images, not {_short(kind or part)}; leave it out")


def _image(url: Any, detail: Any, where: str) -> dict[str, Any]:
    if not isinstance(url, str) or is_path(url):  # a request from elsewhere reads no files of ours
        raise BadDocument(f"{where}: an image of a request is an https URL or a data:image/... URL, not {_short(url)}")
    return {"type": "image_url", "image_url": _with_detail({"url": url}, detail)}


def _with_detail(image: dict[str, Any], detail: Any) -> dict[str, Any]:
    return image if detail is None else image | {"detail": detail}


def _plain(content: Any, where: str) -> str:
    parts = _content(content, where)
    texts = [parts] if isinstance(parts, str) else [part.get("text") for part in parts]
    if not all(isinstance(text, str) for text in texts):
        raise BadDocument(f"{where}: instructions are text alone")
    return "\n".join(texts)


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise BadDocument(f"{where}: is no list but {_short(value)}")
    return value


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:60]}..."
