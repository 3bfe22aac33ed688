"""Converts the body of a request to /v1/chat/completions or /v1/responses into the fields of a job. PURE.

The fields are those of openai/openai-openapi (createChatCompletion, createResponse). A field that jobs do not support
is an error, unless it is null or has its default value.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from threadmill.documents.errors import BadDocument
from threadmill.errors import short_repr
from threadmill.job.lanes import PRIORITY
from threadmill.job.message import is_path

#: Fields of a job, by the field of the request with the same meaning and form.
_UNCHANGED = ("model", "temperature", "top_p", "metadata", "tools", "tool_choice", "parallel_tool_calls")
_SAME = {name: name for name in _UNCHANGED}
_CHAT = _SAME | {
    "max_completion_tokens": "max_completion_tokens",
    "max_tokens": "max_completion_tokens",
    "response_format": "response_format",
    "seed": "seed",
}
_RESPONSES = _SAME | {"max_output_tokens": "max_completion_tokens", "instructions": "instructions"}

#: Fields that do not affect the answer.
_IGNORED = {"store", "user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "background"}

#: The default values of unsupported fields.
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

#: Service tiers as fields of a job. OpenAI has two names for the faster one.
_TIERS: Mapping[str, dict[str, str]] = {
    "flex": {"lane": "flex"},
    "priority": {"service_tier": PRIORITY},
    "fast": {"service_tier": PRIORITY},
}

#: Roles of the messages that become `instructions`.
_INSTRUCTION_ROLES = ("system", "developer")


def to_job_fields(url: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Returns fields of PromptJob. Raises BadDocument, which names the unsupported field."""
    remaining = {name: value for name, value in body.items() if not _is_ignored(name, value)}
    is_chat = url == "/v1/chat/completions"
    fields: dict[str, Any] = {}
    for request_name, job_name in (_CHAT if is_chat else _RESPONSES).items():
        if request_name in remaining and job_name not in fields:
            fields[job_name] = remaining.pop(request_name)
    if "tools" in fields:
        fields["tools"] = [_nested(tool, "tools") for tool in _list(fields["tools"], "tools")]
    if isinstance(fields.get("tool_choice"), dict):
        fields["tool_choice"] = _nested(fields["tool_choice"], "tool_choice")
    if isinstance(tier := remaining.get("service_tier"), str) and tier in _TIERS:
        del remaining["service_tier"]
        fields |= _TIERS[tier]
    if not is_chat:
        fields |= _response_fields(remaining)
    name = "messages" if is_chat else "input"
    given = remaining.pop(name, None)
    if remaining:
        unsupported = f"field{'s' * (len(remaining) > 1)} {', '.join(map(repr, remaining))}"
        raise BadDocument(f"has the unsupported {unsupported}; remove {'them' if len(remaining) > 1 else 'it'}")
    items = [{"role": "user", "content": given}] if isinstance(given, str) else _list(given, name)
    instructions, messages = _conversation(items, name)
    if instructions:
        first = [_plain(fields["instructions"], "instructions")] if "instructions" in fields else []
        fields["instructions"] = "\n\n".join([*first, *instructions])
    return fields | {"messages": messages}


def with_request_names(url: str, body: Mapping[str, Any], message: str) -> str:
    """Returns an error message about a job with the field names of the request."""
    is_chat = url == "/v1/chat/completions"
    fields = _CHAT if is_chat else _RESPONSES
    names = {job_name: request_name for request_name, job_name in fields.items() if request_name in body}
    if not is_chat:
        names |= {"messages": "input", "response_format": "text.format", "truncation.type": "truncation"}
    for job_name, request_name in names.items():
        message = re.sub(rf"`{re.escape(job_name)}(?=[`.])", f"`{request_name}", message)
    return message


def _is_ignored(name: str, value: Any) -> bool:
    if value is None or name in _IGNORED:
        return True
    is_flag = isinstance(value, bool)  # True equals 1
    return any(value == default and is_flag is isinstance(default, bool) for default in _DEFAULTS.get(name, ()))


def _response_fields(remaining: dict[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    text = remaining.pop("text", None) or {}
    form = text.get("format") if isinstance(text, dict) else None
    if text != {} and (not isinstance(text, dict) or set(text) != {"format"} or not isinstance(form, dict)):
        raise BadDocument("has a 'text' with more than a format, which is not supported; remove it")
    if form:
        fields["response_format"] = _inner(form, "json_schema") if form.get("type") == "json_schema" else form
    if "truncation" in remaining:
        fields["truncation"] = {"type": remaining.pop("truncation")}
    return fields


def _nested(value: Any, where: str) -> dict[str, Any]:
    """Returns a function tool in the form of Chat Completions."""
    if not isinstance(value, dict) or value.get("type") != "function":
        raise BadDocument(f"{where}: only function tools are supported in a request; remove {short_repr(value)}")
    return value if "function" in value else _inner(value, "function")


def _inner(value: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """{"type": T, ...} -> {"type": T, T: {...}}"""
    fields = {name: field for name, field in value.items() if name != "type" and field is not None}
    return {"type": kind, kind: fields}


def _conversation(items: Sequence[Any], name: str) -> tuple[list[str], list[dict[str, Any]]]:
    instructions: list[str] = []
    messages: list[dict[str, Any]] = []
    for index, message in enumerate(items):
        where = f"{name}[{index}]"
        if not isinstance(message, dict) or message.get("type", "message") != "message":
            raise BadDocument(f"{where}: only messages are supported, not {short_repr(message)}")
        role, content = message.get("role"), message.get("content")
        more = [key for key, value in message.items() if key not in _MESSAGE_FIELDS and value not in (None, [])]
        if more:
            raise BadDocument(f"{where} has the unsupported field {more[0]!r}; remove it")
        if role in _INSTRUCTION_ROLES:
            if messages:
                raise BadDocument(f"{where}: a {role} message follows other messages; instructions must come first")
            instructions.append(_plain(content, where))
        elif role in ("user", "assistant"):
            messages.append({"role": role, "content": _content(content, where)})
        else:
            raise BadDocument(f"{where}: the role is {role!r}; supported are system, developer, user and assistant")
    if not messages:
        raise BadDocument(f"{name}: has no user message")
    return instructions, messages


#: Supported fields of a message. `id` and `status` of an earlier output item are ignored.
_MESSAGE_FIELDS = {"role", "content", "type", "id", "status"}


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
    raise BadDocument(f"{where}: only text and images are supported, not {short_repr(kind or part)}; remove it")


def _image(url: Any, detail: Any, where: str) -> dict[str, Any]:
    if not isinstance(url, str) or is_path(url):  # a request file from elsewhere must not read local files
        raise BadDocument(f"{where}: an image must be an https URL or a data:image/... URL, not {short_repr(url)}")
    return {"type": "image_url", "image_url": _with_detail({"url": url}, detail)}


def _with_detail(image: dict[str, Any], detail: Any) -> dict[str, Any]:
    return image if detail is None else image | {"detail": detail}


def _plain(content: Any, where: str) -> str:
    parts = _content(content, where)
    texts = [parts] if isinstance(parts, str) else [part.get("text") for part in parts]
    if not all(isinstance(text, str) for text in texts):
        raise BadDocument(f"{where}: instructions must be text")
    return "\n".join(texts)


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise BadDocument(f"{where}: must be a list, not {short_repr(value)}")
    return value
