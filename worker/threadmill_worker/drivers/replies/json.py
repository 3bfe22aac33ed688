"""Reads the JSON of replies, and tolerates missing fields and fields with other types: compatible servers differ."""

import json
import math
from typing import Any

from threadmill.secrets.redaction import redact, redact_parsed
from threadmill.surrogates import replace_surrogates
from threadmill_worker.answer.json_text import TooDeep, parse


class NotTheApi(Exception):
    """A reply with status 2xx is not from the API: a proxy's page, a truncated body, an object without id."""


class UnusableReply(NotTheApi):
    """The reply is too large or nested too deeply. Repeating the call does not help."""


def parse_object(text: str) -> dict[str, Any]:
    """Parses a JSON object and removes secrets from it. Raises NotTheApi, UnusableReply.

    Single surrogates, which UTF-8 cannot hold, become U+FFFD.
    """
    try:
        body = parse(text)
        if "\\u" in text and "\\ud" in text.lower():
            body = json.loads(replace_surrogates(json.dumps(body, ensure_ascii=False)))
    except TooDeep as error:
        raise UnusableReply(f"the server's reply cannot be read: {error}") from None
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise NotTheApi(f"the reply is not from the API: {redact(text.strip())[:200]!r}")
    return redact_parsed(body, text)


def parse_id(body: dict[str, Any]) -> str:
    """Returns the id of the object. Raises NotTheApi."""
    if not isinstance(body.get("id"), str) or not body["id"]:
        raise NotTheApi(f"the reply has no id: {json.dumps(body)[:200]}")
    return str(body["id"])


#: Types of tools in version 1 of the API, which open-assistant-api still sends, and their names today.
_NAMES_TODAY = {"retrieval": "file_search"}


def own_tools(tools: Any) -> frozenset[str] | None:
    """Returns the types of a run's tools. None: the server shows no tools, which some servers do for any run."""
    if not isinstance(tools, list) or not tools:
        return None
    types = (str(as_dict(tool).get("type")) for tool in tools)
    return frozenset(_NAMES_TODAY.get(kind, kind) for kind in types)


def as_dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def took_s(body: dict[str, Any]) -> float | None:
    """Returns the seconds from `created_at` to `completed_at` of a run, by its server's clock; None: not known.

    Most servers send whole seconds: https://platform.openai.com/docs/api-reference/runs/object.
    """
    created_at, completed_at = as_number(body.get("created_at")), as_number(body.get("completed_at"))
    return None if created_at is None or completed_at is None else completed_at - created_at


def as_word(value: Any) -> str | None:
    return None if value is None else str(value)


def as_number(value: Any) -> float | None:
    """Returns a finite number, else None: Python's JSON has NaN, Infinity, and integers too large for a float."""
    try:
        number = float(value) if isinstance(value, int | float) else math.nan
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
