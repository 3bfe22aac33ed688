"""Reads secrets from environment variables and registers them for redaction. No other module reads them."""

import logging
import os
from collections.abc import Callable
from functools import cache
from typing import Annotated

from pydantic import StringConstraints

from threadmill.errors import SettingsError
from threadmill.secrets.redaction import REDACTOR

#: The name of an environment variable.
Variable = Annotated[str, StringConstraints(pattern=r"^\w+$")]

log = logging.getLogger(__name__)


def read(variable: str) -> str | None:
    """Returns the variable's value unchanged, or None if it is unset or blank."""
    value = os.environ.get(variable)
    REDACTOR.register(value)
    return value if value and value.strip() else None


def read_header(variable: str) -> str | None:
    """Returns the variable's value for (a part of) an HTTP header, or None if it is unset or blank.

    Removes whitespace at both ends, with a warning: env files often add a line end. Raises SettingsError, which names
    the variable and not its value, for other characters that are invalid in a header.
    """
    value = read(variable)
    if value is None:
        return None
    stripped = value.strip()
    if stripped != value:
        _warn_of_whitespace(variable)
    for position, char in enumerate(stripped, 1):
        if not char.isascii() or not char.isprintable():
            kind = "a character outside of ASCII" if not char.isascii() else "a line end" if char in "\r\n" else ""
            raise SettingsError(
                f"the value of {variable} has {kind or 'a control character'} at position {position}, "
                f"which cannot be sent: copy it again, then export {variable}=..."
            )
    return stripped


@cache
def _warn_of_whitespace(variable: str) -> None:
    log.warning("the value of %s begins or ends with whitespace, which is ignored; remove it", variable)


def required(variable: str, owner: str, read: Callable[[str], str | None] = read_header) -> str:
    """Returns the variable's value. Raises SettingsError, which names its `owner`, if it is unset or invalid."""
    try:
        value = read(variable)
    except SettingsError as error:
        raise SettingsError(f"{owner}: {error}") from None
    if value is None:
        raise SettingsError(f"{owner} needs {variable}, which is not set here: export {variable}=...")
    return value
