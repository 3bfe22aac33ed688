"""Sends notifications through a channel, with retries.

After a crash during a delivery, it is sent again with the same Idempotency-Key or Message-ID.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

from pydantic import StringConstraints

from threadmill.errors import SettingsError
from threadmill.secrets.redaction import redact
from threadmill.settings import credentials

_TRIES = 4
_PAUSE_FIRST_S = 1.0  # doubles

#: The name of an environment variable that has a secret.
Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]\w*$")]


@dataclass(frozen=True)
class Notification:
    """A report or a failure notice. `key` identifies the night and the kind, for receivers that get it twice."""

    key: str
    title: str
    markdown: str
    html: str  #: body of the mail
    facts: Mapping[str, Any]  #: for programs
    text: str | None = None  #: plain text of the mail; default: the Markdown
    page: str | None = None  #: HTML to attach to the mail
    page_name: str = "report.html"


class NotDelivered(Exception):
    """The delivery failed. `is_temporary`: it can succeed later."""

    def __init__(self, reason: str, *, is_temporary: bool) -> None:
        super().__init__(reason)
        self.is_temporary = is_temporary


class Channel(Protocol):
    """A way to send notifications, such as by mail."""

    def send(self, notification: Notification) -> None:
        """Raises NotDelivered."""


def deliver(channel: Channel, notification: Notification, pause: Callable[[float], None] = time.sleep) -> str | None:
    """Sends the notification, with retries after temporary failures. Returns None, or why it failed."""
    for number in range(_TRIES):
        try:
            channel.send(notification)
        except NotDelivered as error:
            if not error.is_temporary or number == _TRIES - 1:
                return redact(str(error))
            pause(_PAUSE_FIRST_S * 2**number)
        else:
            break
    return None


def read_secret(variable: str) -> str:
    """Returns the value of an environment variable. Raises NotDelivered."""
    try:
        value = credentials.read_header(variable)
    except SettingsError as error:
        raise NotDelivered(str(error), is_temporary=False) from None
    if value is None:
        raise NotDelivered(f"the variable {variable} is not set: export {variable}=...", is_temporary=False)
    return value
