"""Reads secrets from environment variables; nothing else does. What was read is redacted from then on."""

import logging
import os
from collections.abc import Callable
from functools import cache

from threadmill.errors import SettingsError
from threadmill.secrets.redaction import REDACTOR

log = logging.getLogger(__name__)


def read(variable: str) -> str | None:
    """The variable's value as it is; None: it is not set, or blank."""
    value = os.environ.get(variable)
    REDACTOR.register(value)
    return value if value and value.strip() else None


def read_header(variable: str) -> str | None:
    """The variable's value for an HTTP header, or for part of one; None: it is not set, or blank.

    Whitespace at its ends is removed, with a warning: `$(cat FILE)` in an env file often leaves a line end. Raises
    SettingsError, which names the variable and not its value, for other characters that no header can hold.
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
    """The variable's value. Raises SettingsError, which names its `owner`, if it is not set or cannot be used."""
    try:
        value = read(variable)
    except SettingsError as error:
        raise SettingsError(f"{owner}: {error}") from None
    if value is None:
        raise SettingsError(f"{owner} needs {variable}, which is not set here: export {variable}=...")
    return value
