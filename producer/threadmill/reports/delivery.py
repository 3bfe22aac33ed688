"""Delivers notifications by webhook and by mail. Secrets are read from environment variables.

After a crash during a delivery, it is sent again with the same Idempotency-Key or Message-ID.
"""

import json
import smtplib
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from http import HTTPStatus
from http.client import HTTPException
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, PositiveInt, StringConstraints, model_validator

from threadmill.errors import SettingsError
from threadmill.job.model import InputModel
from threadmill.reports.rendering.chat import ChatFormat, chat_message
from threadmill.secrets.redaction import redact
from threadmill.settings import credentials

_TRIES = 4
_PAUSE_FIRST_S = 1.0  # doubles
_TIMEOUT_S = 30.0

#: Replies below 500 to requests that can succeed later.
_TEMPORARY = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)

_Address = Annotated[str, StringConstraints(pattern=r"^[^@\s,<>]+@[^@\s,<>]+$")]
_Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]\w*$")]


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


class Webhook(InputModel):
    """Sends a POST request with the report as JSON. Does not follow redirects."""

    url: str | None = None
    url_env: _Variable | None = None  #: variable with the URL, if that is a secret
    token_env: _Variable | None = None  #: variable with a bearer token
    format: ChatFormat | None = None  #: send a chat message in place of the JSON of the report

    @model_validator(mode="after")
    def _one_url(self) -> Self:
        if (self.url is None) == (self.url_env is None):
            raise ValueError("give `url`, or `url_env` where the URL is a secret")
        return self

    @property
    def variables(self) -> tuple[str, ...]:
        """The environment variables it reads."""
        return tuple(filter(None, (self.url_env, self.token_env)))

    @property
    def target(self) -> str:
        """The receiver in messages, without the path of the URL, which can contain a secret."""
        if self.url is None:
            return f"the URL in {self.url_env}"
        try:
            return f"{urlsplit(self.url).scheme}://{urlsplit(self.url).hostname}"
        except ValueError:
            return "an invalid URL"

    def send(self, notification: Notification) -> None:
        """Raises NotDelivered."""
        url = self.url or _secret(str(self.url_env))
        if not url.startswith(("http://", "https://")):
            raise NotDelivered("the webhook's URL is not http:// or https://", is_temporary=False)
        headers = {"Content-Type": "application/json", "Idempotency-Key": notification.key}
        if self.token_env:
            headers["Authorization"] = f"Bearer {_secret(self.token_env)}"
        content = (
            chat_message(self.format, notification.title, notification.facts)
            if self.format
            else {**notification.facts, "title": notification.title, "markdown": notification.markdown}
        )
        body = json.dumps(content).encode()
        opener = urllib.request.build_opener(_NoRedirects)
        try:
            opener.open(urllib.request.Request(url, body, headers), timeout=_TIMEOUT_S).close()
        except urllib.error.HTTPError as error:
            error.close()
            is_temporary = error.code >= HTTPStatus.INTERNAL_SERVER_ERROR or error.code in _TEMPORARY
            raise NotDelivered(f"the webhook replied {error.code}", is_temporary=is_temporary) from None
        except (OSError, HTTPException, ValueError) as error:  # its text can contain the URL
            reason = getattr(error, "reason", None)
            detail = getattr(reason, "strerror", None) or type(reason or error).__name__
            raise NotDelivered(
                f"the webhook cannot be reached: {detail}", is_temporary=not isinstance(error, ValueError)
            ) from None


class Smtp(InputModel):
    """Sends a mail with the summary as HTML and as plain text."""

    host: str
    port: PositiveInt = 587
    security: Literal["starttls", "tls", "none"] = "starttls"  #: tls: from the start of the connection, as on port 465
    user: str | None = None
    password_env: _Variable | None = None
    sender: _Address = Field(alias="from")
    to: Annotated[tuple[_Address, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.user is None) != (self.password_env is None):
            raise ValueError("`user` and `password_env` go together: give both, or neither")
        return self

    @property
    def variables(self) -> tuple[str, ...]:
        """The environment variables it reads."""
        return (self.password_env,) if self.password_env else ()

    @property
    def target(self) -> str:
        """The receivers in messages."""
        return f"{', '.join(self.to)} through {self.host}:{self.port}"

    def send(self, notification: Notification) -> None:
        """Raises NotDelivered."""
        password = _secret(self.password_env) if self.password_env else ""
        try:
            with self._connected() as server:
                if self.user:
                    server.login(self.user, password)
                server.send_message(self._message(notification))
        except smtplib.SMTPResponseException as error:
            is_temporary = error.smtp_code < 500
            raise NotDelivered(f"{self.host} replied {error.smtp_code}", is_temporary=is_temporary) from None
        except smtplib.SMTPRecipientsRefused:
            raise NotDelivered(f"{self.host} refuses the recipients", is_temporary=False) from None
        except OSError as error:  # smtplib's other errors among them
            detail = error.strerror or str(error) or type(error).__name__
            raise NotDelivered(f"{self.host}:{self.port}: {detail}", is_temporary=True) from None

    def _connected(self) -> smtplib.SMTP:
        context = ssl.create_default_context()
        if self.security == "tls":
            return smtplib.SMTP_SSL(self.host, self.port, timeout=_TIMEOUT_S, context=context)
        server = smtplib.SMTP(self.host, self.port, timeout=_TIMEOUT_S)
        if self.security == "starttls":
            try:
                server.starttls(context=context)
            except OSError:
                server.close()
                raise
        return server

    def _message(self, notification: Notification) -> EmailMessage:
        message = EmailMessage()
        message["Subject"] = " ".join(notification.title.split())
        message["From"], message["To"] = self.sender, ", ".join(self.to)
        message["Date"] = format_datetime(datetime.now(UTC))
        message["Auto-Submitted"] = "auto-generated"  # prevents out-of-office replies
        message["Message-ID"] = f"<{notification.key.replace('/', '.')}@{self.sender.partition('@')[2]}>"
        message.set_content(notification.markdown if notification.text is None else notification.text)
        message.add_alternative(notification.html, subtype="html")
        if notification.page is not None:
            message.add_attachment(notification.page, subtype="html", filename=notification.page_name)
        return message


def deliver(
    channel: Webhook | Smtp, notification: Notification, pause: Callable[[float], None] = time.sleep
) -> str | None:
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


def _secret(variable: str) -> str:
    try:
        value = credentials.read_header(variable)
    except SettingsError as error:
        raise NotDelivered(str(error), is_temporary=False) from None
    if value is None:
        raise NotDelivered(f"the variable {variable} is not set: export {variable}=...", is_temporary=False)
    return value


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Refuses redirects, which would turn the POST into a GET."""

    def redirect_request(self, *_: Any) -> None:
        return None
