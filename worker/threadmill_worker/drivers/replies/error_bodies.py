"""Reads the body of an error reply, in any of the forms that servers and their gateways use. PURE.

OpenAI's {"error": {...}}, FastAPI's {"detail": ...} (OGX, vLLM, open-assistant-api), problem details (RFC 9457), bare
objects and texts (Ollama, OpenOpenAI), lists of errors, and the HTML pages of proxies.
"""

import html
import json
import re
from typing import Any

from threadmill_worker.answer.json_text import parse
from threadmill_worker.lifecycle.server_errors import ServerError

#: How many errors of a list are shown.
_MOST = 3

#: Fields with a text, the most informative first. `msg` is FastAPI's.
_TEXTS = ("message", "detail", "msg", "error_description", "error", "title")

#: Fields that may contain the error itself.
_INNER = ("error", "detail", "errors", "message")

_PAGE = re.compile(r"\s*(?:<!doctype html|<html|<head|<body|<center|<h1)", re.IGNORECASE)
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>|<h1[^>]*>(.*?)</h1>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^>]*>")

#: Characters of a page that are read.
_PAGE_READ = 2000


def read_error(body: str) -> ServerError:
    """Returns the error in the body of a reply."""
    body = body.strip()
    if _PAGE.match(body):
        return ServerError(_page(body[:_PAGE_READ]))
    try:
        said = parse(body)
    except ValueError:
        return ServerError(body)
    return error_in(said)


def error_in(said: Any) -> ServerError:
    """Returns the error in a JSON value: an object, a text, or a list of these."""
    if isinstance(said, list):
        errors = [error_in(each) for each in said[:_MOST]]
        first = errors[0] if errors else ServerError()
        message = "; ".join(error.message for error in errors if error.message)
        return ServerError(message, first.code, first.type, first.param)
    if not isinstance(said, dict):
        return ServerError("" if said is None else str(said).strip())
    code, kind, param = (_word(said.get(name)) for name in ("code", "type", "param"))
    inner = next((said[name] for name in _INNER if isinstance(said.get(name), dict | list) and said[name]), None)
    if inner is None:
        return ServerError(_message(said), code, kind, param)
    error = error_in(inner)
    return ServerError(error.message, error.code or code, error.type or kind, error.param or param)


def _message(said: dict[str, Any]) -> str:
    texts = {name: str(said[name]).strip() for name in _TEXTS if isinstance(said.get(name), str)}
    texts = {name: text for name, text in texts.items() if text}
    if not texts:  # an object without known fields is shown whole
        known = {"message", "error", "detail", "code", "type", "param"}
        return "" if said.keys() <= known else json.dumps(said, ensure_ascii=False)
    text = next(iter(texts.values()))
    if "msg" in texts and isinstance(said.get("loc"), list):  # FastAPI: the location in the request
        return f"{'.'.join(map(str, said['loc']))}: {text}"
    if "title" in texts and "detail" in texts:
        return f"{texts['title']}: {texts['detail']}"
    return text


def _word(value: Any) -> str | None:
    """Returns a code or a type as text. Some servers send numbers; other values count as none."""
    if isinstance(value, bool) or not isinstance(value, str | int) or value in ("", "None", "about:blank"):
        return None  # "None" is LiteLLM's
    return str(value)


def _page(body: str) -> str:
    """Describes a gateway's page by its title, or by its text if it has none."""
    title = _TITLE.search(body)
    shown = (title[1] or title[2] or "") if title else body
    return f"an HTML page: {' '.join(html.unescape(_TAG.sub(' ', shown)).split())}"
