"""Parses JSON from servers and models, with limited nesting. PURE."""

import json
from typing import Any

#: Levels of arrays and objects. pydantic, which reads and writes the records in Redis, accepts about 200.
DEPTH_LIMIT = 100


class TooDeep(ValueError):
    """The JSON nests more than DEPTH_LIMIT levels deep."""

    def __init__(self) -> None:
        super().__init__(f"it nests more than {DEPTH_LIMIT} levels deep")


def parse(text: str, **hooks: Any) -> Any:
    """Returns the value. `hooks`: arguments of `json.loads`. Raises ValueError if it is not JSON, TooDeep."""
    try:
        value = json.loads(text, **hooks)
    except RecursionError:
        raise TooDeep from None
    # Most texts have too few brackets to be deep.
    if text.count("[") + text.count("{") > DEPTH_LIMIT and _is_deeper(value, DEPTH_LIMIT):
        raise TooDeep
    return value


def _is_deeper(value: Any, limit: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return inner is not None and (limit == 0 or any(_is_deeper(item, limit - 1) for item in inner))
