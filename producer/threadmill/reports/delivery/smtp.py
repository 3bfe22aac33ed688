"""Delivers notifications by mail."""

import smtplib
import ssl
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, StringConstraints, model_validator

from threadmill.job.model import InputModel
from threadmill.reports.delivery.channel import NotDelivered, Notification, Variable, read_secret

_TIMEOUT_S = 30.0

_Address = Annotated[str, StringConstraints(pattern=r"^[^@\s,<>]+@[^@\s,<>]+$")]


class Smtp(InputModel):
    """Sends a mail with the summary as HTML and as plain text."""

    host: str
    port: PositiveInt = 587
    security: Literal["starttls", "tls", "none"] = "starttls"  #: tls: from the start of the connection, as on port 465
    user: str | None = None
    password_env: Variable | None = None
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
        password = read_secret(self.password_env) if self.password_env else ""
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
        except OSError as error:  # includes smtplib's other errors
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
