"""Reading what Redis holds: a value that cannot be read is left out with a warning, and stays where it is."""

import logging
from functools import lru_cache
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from threadmill.names import printable

log = logging.getLogger(__name__)

_Model = TypeVar("_Model", bound=BaseModel)

#: Characters of a field's name in a message: such a name may come out of the damage itself.
_NAME = 40


def read(model: type[_Model], text: str, thing: str) -> _Model | None:
    """The value of a JSON text; None if it is damaged, or a newer version wrote it. `thing`: its name in the log."""
    try:
        return model.model_validate_json(text)
    except ValueError as error:
        leave_out(thing, *fault(error))
        return None


def leave_out(thing: str, field: str, kind: str) -> None:
    """Warns that a value cannot be read; once in this process, however often the value is met."""
    warn(f"{printable(thing)} cannot be read and is left out: {describe(field, kind)}")


def fault(error: Exception, within: str = "") -> tuple[str, str]:
    """The field that an error is about, as `result.state`, and the kind of error. Neither quotes the value.

    `within`: the field that holds the value; '' if it stands alone, as the field may be then.
    """
    if not isinstance(error, ValidationError):
        return within, type(error).__name__
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    steps = [printable(str(step))[:_NAME] for step in first["loc"][:4]]
    return ".".join([within, *steps] if within else steps), first["type"]


def unknown_fields(error: ValidationError) -> tuple[str, ...]:
    """The fields, such as `wants.mood`, that a model does not know: a newer version's."""
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    return tuple(
        ".".join(printable(str(step))[:_NAME] for step in problem["loc"][:4])
        for problem in problems
        if problem["type"] in ("extra_forbidden", "unexpected_keyword_argument")
    )


def describe(field: str, kind: str) -> str:
    """A fault in words."""
    return f"`{field}`: {kind}" if field else kind


@lru_cache(maxsize=1000)
def warn(text: str) -> None:
    """Logs a warning, once in this process."""
    log.warning(text)
