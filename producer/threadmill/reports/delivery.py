"""Sends a report that is published: to a webhook, by mail. Secrets are named by their variables alone.

A crash while one is on its way sends it again: the webhook's Idempotency-Key and the mail's Message-ID are
the same then.
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

from threadmill import credentials
from threadmill.border import Border
from threadmill.errors import SettingsError
from threadmill.redaction import redact
from threadmill.reports.chat import ChatFormat, chat_message

_TRIES = 4
_PAUSE_FIRST_S = 1.0  # doubles
_TIMEOUT_S = 30.0

#: Replies of a server that may take the same later.
_PASSING = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)

_Address = Annotated[str, StringConstraints(pattern=r"^[^@\s,<>]+@[^@\s,<>]+$")]
_Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]\w*$")]


@dataclass(frozen=True)
class Parcel:
    """What is sent. `key`: of this night of this report, the same however often it is sent."""

    key: str
    title: str
    markdown: str
    html: str  #: of the mail
    facts: Mapping[str, Any]  #: for programs
    text: str | None = None  #: plain text of the mail; default: the Markdown
    page: str | None = None  #: HTML that is attached to the mail
    page_name: str = "report.html"


class NotDelivered(Exception):
    """The text says why. `passing`: whether it may be taken later."""

    def __init__(self, reason: str, *, passing: bool) -> None:
        super().__init__(reason)
        self.passing = passing


class Webhook(Border):
    """POSTs the report as JSON, with an Idempotency-Key; redirects are not followed."""

    url: str | None = None
    url_env: _Variable | None = None  #: variable that holds the URL, where that is a secret
    token_env: _Variable | None = None  #: variable of a bearer token
    format: ChatFormat | None = None  #: a chat's message in place of the report's JSON

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
        """Where it sends, for people: never the whole URL, which may hold a secret."""
        if self.url is None:
            return f"the URL in {self.url_env}"
        try:
            return f"{urlsplit(self.url).scheme}://{urlsplit(self.url).hostname}"
        except ValueError:
            return "an invalid URL"

    def send(self, parcel: Parcel) -> None:
        """Raises NotDelivered."""
        url = self.url or _secret(str(self.url_env))
        if not url.startswith(("http://", "https://")):
            raise NotDelivered("the webhook's URL is not http:// or https://", passing=False)
        headers = {"Content-Type": "application/json", "Idempotency-Key": parcel.key}
        if self.token_env:
            headers["Authorization"] = f"Bearer {_secret(self.token_env)}"
        content = (
            chat_message(self.format, parcel.title, parcel.facts)
            if self.format
            else {**parcel.facts, "title": parcel.title, "markdown": parcel.markdown}
        )
        body = json.dumps(content).encode()
        opener = urllib.request.build_opener(_NoRedirects)
        try:
            opener.open(urllib.request.Request(url, body, headers), timeout=_TIMEOUT_S).close()
        except urllib.error.HTTPError as error:
            error.close()
            passing = error.code >= HTTPStatus.INTERNAL_SERVER_ERROR or error.code in _PASSING
            raise NotDelivered(f"the webhook answers {error.code}", passing=passing) from None
        except (OSError, HTTPException, ValueError) as error:  # whose text may hold the URL
            reason = getattr(error, "reason", None)
            said = getattr(reason, "strerror", None) or type(reason or error).__name__
            raise NotDelivered(
                f"the webhook cannot be reached: {said}", passing=not isinstance(error, ValueError)
            ) from None


class Smtp(Border):
    """Sends a mail with the summary as HTML and as plain text."""

    host: str
    port: PositiveInt = 587
    security: Literal["starttls", "tls", "none"] = "starttls"  #: tls: from the start, as on port 465
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
        """Where it sends, for people."""
        return f"{', '.join(self.to)} through {self.host}:{self.port}"

    def send(self, parcel: Parcel) -> None:
        """Raises NotDelivered."""
        password = _secret(self.password_env) if self.password_env else ""
        try:
            with self._connected() as server:
                if self.user:
                    server.login(self.user, password)
                server.send_message(self._message(parcel))
        except smtplib.SMTPResponseException as error:
            passing = error.smtp_code < 500
            raise NotDelivered(f"{self.host} answers {error.smtp_code}", passing=passing) from None
        except smtplib.SMTPRecipientsRefused:
            raise NotDelivered(f"{self.host} refuses the recipients", passing=False) from None
        except OSError as error:  # smtplib's other errors among them
            said = error.strerror or str(error) or type(error).__name__
            raise NotDelivered(f"{self.host}:{self.port}: {said}", passing=True) from None

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

    def _message(self, parcel: Parcel) -> EmailMessage:
        message = EmailMessage()
        message["Subject"] = " ".join(parcel.title.split())
        message["From"], message["To"] = self.sender, ", ".join(self.to)
        message["Date"] = format_datetime(datetime.now(UTC))
        message["Auto-Submitted"] = "auto-generated"  # no out-of-office reply is sent to it
        message["Message-ID"] = f"<{parcel.key.replace('/', '.')}@{self.sender.partition('@')[2]}>"
        message.set_content(parcel.markdown if parcel.text is None else parcel.text)
        message.add_alternative(parcel.html, subtype="html")
        if parcel.page is not None:
            message.add_attachment(parcel.page, subtype="html", filename=parcel.page_name)
        return message


def deliver(channel: Webhook | Smtp, parcel: Parcel, pause: Callable[[float], None] = time.sleep) -> str | None:
    """Sends, and again if that failed for a passing reason; gives the reason if it failed for good."""
    for number in range(_TRIES):
        try:
            channel.send(parcel)
        except NotDelivered as error:
            if not error.passing or number == _TRIES - 1:
                return redact(str(error))
            pause(_PAUSE_FIRST_S * 2**number)
        else:
            break
    return None


def _secret(variable: str) -> str:
    try:
        value = credentials.read_header(variable)
    except SettingsError as error:
        raise NotDelivered(str(error), passing=False) from None
    if value is None:
        raise NotDelivered(f"the variable {variable} is not set: export {variable}=...", passing=False)
    return value


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """One would turn the POST into a GET."""

    def redirect_request(self, *_: Any) -> None:
        return None
