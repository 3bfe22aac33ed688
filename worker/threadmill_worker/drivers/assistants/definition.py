"""Compares the definition of an assistant in a profile with that on the server. PURE."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from threadmill.settings.profile import Profile
from threadmill_worker.drivers.requests.tags import without_tag

#: Every field with its default. Null and the empty text count as the default.
DEFAULTS: dict[str, Any] = {
    "model": None,
    "name": None,
    "description": None,
    "instructions": None,
    "tools": [],
    "tool_resources": {},
    "response_format": "auto",
    "reasoning_effort": None,
    "temperature": 1.0,
    "top_p": 1.0,
    "metadata": {},
}

#: Fields that the server sets.
_ITS_OWN = {"id", "object", "created_at"}

#: Fields of a tool or a schema to which servers add defaults.
_GROWS = {"tools", "response_format"}

_EMPTY: dict[str, dict[str, list[str]]] = {
    "code_interpreter": {"file_ids": []},
    "file_search": {"vector_store_ids": []},
}

#: The fields that differ: the value on the server, the value in the profile.
Changes = dict[str, tuple[Any, Any]]


def wanted(profile: Profile, tools: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns every field as the profile has it. `tools`: the definitions of its tools."""
    return _filled(profile.model_dump(mode="json") | {"tools": tools})


def shown(assistant: Mapping[str, Any]) -> dict[str, Any]:
    """Returns every field as the server has it, without the tag. Values of unknown types count as defaults."""
    metadata = assistant.get("metadata")
    texts = {
        str(name): value if isinstance(value, str) else json.dumps(value)
        for name, value in (metadata if isinstance(metadata, dict) else {}).items()
    }
    return _filled({**assistant, "metadata": without_tag(texts)})


def unknown(assistant: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields on the server that a profile does not have."""
    known = _ITS_OWN | DEFAULTS.keys()
    return {name: value for name, value in assistant.items() if name not in known and value not in (None, "", [], {})}


def said(definition: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields that differ from their defaults."""
    return {name: value for name, value in definition.items() if value != DEFAULTS[name]}


def digest(definition: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()


def changes(there: Mapping[str, Any], asked: Mapping[str, Any], *, applied: bool) -> Changes:
    """Returns the fields that differ. `applied`: it was applied before, so the server added the rest."""
    return {
        name: (there[name], asked[name])
        for name in DEFAULTS
        if not (
            there[name] == asked[name]
            or _bare(there[name]) == _bare(asked[name])
            or (applied and name in _GROWS and _holds(there[name], asked[name]))
        )
    }


def body_of(changed: Changes) -> dict[str, Any]:
    """Returns the body of an update that makes these changes, without the tag."""
    body = {name: new for name, (_, new) in changed.items()}
    if "tool_resources" in body:  # the server keeps a kind that is omitted
        old, new = changed["tool_resources"]
        body["tool_resources"] = {kind: empty for kind, empty in _EMPTY.items() if kind in old} | new
    return body


def _filled(fields: Mapping[str, Any]) -> dict[str, Any]:
    filled = {name: _or_default(fields.get(name), default) for name, default in DEFAULTS.items()}
    resources = filled["tool_resources"].items()
    return filled | {"tool_resources": {kind: value for kind, value in resources if _has_content(value)}}


def _or_default(value: Any, default: Any) -> Any:
    is_odd = isinstance(default, list | dict) and not isinstance(value, type(default))
    return default if value is None or value == "" or is_odd else value


def _has_content(resource: Any) -> bool:
    return any(resource.values()) if isinstance(resource, dict) else bool(resource)


def _bare(value: Any) -> Any:
    """Returns the value without null fields and `strict: false`, which are defaults."""
    if isinstance(value, dict):
        kept = {name: _bare(each) for name, each in value.items() if each is not None}
        return {name: each for name, each in kept.items() if not (name == "strict" and each is False)}
    return [_bare(each) for each in value] if isinstance(value, list) else value


def _holds(there: Any, asked: Any) -> bool:
    if isinstance(asked, dict):
        return isinstance(there, dict) and all(_holds(there.get(name), each) for name, each in asked.items())
    if isinstance(asked, list):
        return isinstance(there, list) and len(there) == len(asked) and all(map(_holds, there, asked))
    return bool(there == asked)
