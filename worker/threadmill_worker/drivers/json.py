"""Reads the JSON of replies, of either API. Tolerant: compatible servers leave fields out or fill them oddly."""

import json
import math
from typing import Any

from threadmill.secrets.redaction import redact, redact_parsed
from threadmill.surrogates import replace_surrogates
from threadmill_worker.answer.json_text import TooDeep, parse


class NotTheApi(Exception):
    """A reply with a good status that is none of the API's: a gateway's page, a cut body, a missing id."""


class UnusableReply(NotTheApi):
    """A reply that is too large or nested too deeply to be read, however often the server is asked."""


def parse_object(text: str) -> dict[str, Any]:
    """A JSON object, without secrets that its server repeats. Raises NotTheApi, UnusableReply.

    Single surrogates, which UTF-8 cannot hold, become U+FFFD.
    """
    try:
        body = parse(text)
        if "\\ud" in text.lower():
            body = json.loads(replace_surrogates(json.dumps(body, ensure_ascii=False)))
    except TooDeep as error:
        raise UnusableReply(f"the server's reply cannot be read: {error}") from None
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise NotTheApi(f"the reply is not the API's: {redact(text.strip())[:200]!r}")
    return redact_parsed(body, text)


def parse_id(body: dict[str, Any]) -> str:
    """The object's id; raises NotTheApi."""
    if not isinstance(body.get("id"), str) or not body["id"]:
        raise NotTheApi(f"the reply has no id: {json.dumps(body)[:200]}")
    return str(body["id"])


#: Of tools that open-assistant-api calls as version 1 of the API did.
_NAMES_TODAY = {"retrieval": "file_search"}


def own_tools(tools: Any) -> frozenset[str] | None:
    """The types of a run's tools. No tools at all say nothing: some servers show none, whatever a run has."""
    if not isinstance(tools, list) or not tools:
        return None
    types = (str(as_dict(tool).get("type")) for tool in tools)
    return frozenset(_NAMES_TODAY.get(kind, kind) for kind in types)


def as_dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def as_word(value: Any) -> str | None:
    return None if value is None else str(value)


def as_number(value: Any) -> float | None:
    """A finite number: Python's JSON knows NaN, Infinity, and integers no float can hold."""
    try:
        number = float(value) if isinstance(value, int | float) else math.nan
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
