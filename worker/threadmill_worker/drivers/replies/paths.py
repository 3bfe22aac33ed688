"""Says whether a server has a path, by its reply to a request that creates nothing. PURE."""

from collections.abc import Mapping
from typing import Any

from threadmill_worker.answer.json_text import parse
from threadmill_worker.drivers.replies.error_bodies import read_error
from threadmill_worker.drivers.replies.errors import NO_PATH
from threadmill_worker.drivers.replies.json import as_dict

#: Statuses for an invalid request.
INVALID = frozenset({400, 422})

#: Statuses of a request without a valid key.
UNAUTHORISED = frozenset({401, 403})

#: The `object` of a reply, by how the path begins.
_OBJECTS = {"/responses": "response", "/threads": "thread", "/chat/completions": "chat.completion"}


def has_path(method: str, path: str, status: int, text: str) -> bool | None:
    """Whether the server has the path; None: the reply does not show it, for example because the key is wrong.

    The request was invalid, or named an id that no server knows. The server has the path if it rejects the request as
    invalid, or says that the id at the end of the path is unknown.
    """
    if status in NO_PATH:
        said = read_error(text).message.replace(path, "")
        return method == "GET" and path.rpartition("/")[2] in said
    if status in INVALID:
        return True
    if 200 <= status < 300:
        return _is_of(path, text)
    return False if 300 <= status < 400 else None


def has_list(status: int, text: str) -> bool | None:
    """Whether the server has a list, by its reply to a GET of it."""
    if 200 <= status < 300:
        return isinstance(object_in(text).get("data"), list)
    return True if status in INVALID else False if status in NO_PATH or 300 <= status < 400 else None


def object_in(text: str) -> Mapping[str, Any]:
    """Returns the JSON object of a reply; {}: it is none."""
    try:
        return as_dict(parse(text))
    except ValueError:
        return {}


def _is_of(path: str, text: str) -> bool:
    """Whether a reply is an object of the path's API. Some servers send the same page or object for every path."""
    kind = object_in(text).get("object")
    return any(path.startswith(start) and kind == _OBJECTS[start] for start in _OBJECTS)
