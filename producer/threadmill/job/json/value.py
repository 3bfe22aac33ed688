"""JSON that callers give as it is for the server: what can be stored and sent. PURE."""

import math
from typing import Annotated, Any

from pydantic import BeforeValidator, JsonValue

#: Levels of objects and lists. Redis' parser and ours read about three times as many.
_LEVELS = 64


def _storable(value: Any) -> Any:
    _check(value, _LEVELS)
    return value


def _check(value: Any, levels: int) -> None:
    """Raises ValueError for a value that cannot be written as JSON, or not be read again."""
    match value:
        case dict() | list() if levels == 0:
            raise ValueError(f"has more than {_LEVELS} levels of objects and lists: make it flatter")
        case dict():
            for name, each in value.items():
                _check(name, levels)
                _check(each, levels - 1)
        case list():
            for each in value:
                _check(each, levels - 1)
        case float() if not math.isfinite(value):
            raise ValueError(f"has the number {value}, which JSON does not have")
        case str() if not value.isascii():
            _check_characters(value)


def _check_characters(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"has half of a character, \\u{ord(text[error.start]):04x}: leave it out") from None


#: An object of at most 64 levels, with finite numbers and whole characters.
JsonObject = Annotated[dict[str, JsonValue], BeforeValidator(_storable)]
