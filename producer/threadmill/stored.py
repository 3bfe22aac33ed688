"""Reads values from Redis. An unreadable value is left out with a warning and stays in Redis."""

import logging
from functools import lru_cache
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from threadmill.names import printable

log = logging.getLogger(__name__)

_Model = TypeVar("_Model", bound=BaseModel)

#: Characters of a field's name in a message; the name itself may be damaged.
_NAME = 40


def read(model: type[_Model], text: str, thing: str) -> _Model | None:
    """Parses a JSON text; returns None, with a warning, if it is unreadable. `thing` names the value in the log."""
    try:
        return model.model_validate_json(text)
    except ValueError as error:
        leave_out(thing, *fault(error))
        return None


def leave_out(thing: str, field: str, kind: str) -> None:
    """Logs, once in this process, that a value is unreadable and left out."""
    warn(f"{printable(thing)} cannot be read and is left out: {describe(field, kind)}")


def fault(error: Exception, within: str = "") -> tuple[str, str]:
    """Returns the field that an error is about, such as `result.state`, and its kind. Neither quotes the value.

    `within`: the field that holds the value, or ''.
    """
    if not isinstance(error, ValidationError):
        return within, type(error).__name__
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    steps = [printable(str(step))[:_NAME] for step in first["loc"][:4]]
    return ".".join([within, *steps] if within else steps), first["type"]


def unknown_fields(error: ValidationError) -> tuple[str, ...]:
    """Returns the fields that a model does not know, such as `features.mood`; a newer version wrote them."""
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    return tuple(
        ".".join(printable(str(step))[:_NAME] for step in problem["loc"][:4])
        for problem in problems
        if problem["type"] in ("extra_forbidden", "unexpected_keyword_argument")
    )


def describe(field: str, kind: str) -> str:
    """Returns a fault as text for a message."""
    return f"`{field}`: {kind}" if field else kind


@lru_cache(maxsize=1000)
def warn(text: str) -> None:
    """Logs a warning, once in this process."""
    log.warning(text)
