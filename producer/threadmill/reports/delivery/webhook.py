"""Delivers notifications by webhook."""

import json
import urllib.error
import urllib.request
from http import HTTPStatus
from http.client import HTTPException
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import model_validator

from threadmill.job.model import InputModel
from threadmill.reports.delivery.channel import NotDelivered, Notification, Variable, read_secret
from threadmill.reports.rendering.chat import ChatFormat, chat_message

_TIMEOUT_S = 30.0

#: Replies below 500 to requests that can succeed later.
_TEMPORARY = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)


class Webhook(InputModel):
    """Sends a POST request with the report as JSON. Does not follow redirects."""

    url: str | None = None
    url_env: Variable | None = None  #: variable with the URL, if that is a secret
    token_env: Variable | None = None  #: variable with a bearer token
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
        url = self.url or read_secret(str(self.url_env))
        if not url.startswith(("http://", "https://")):
            raise NotDelivered("the webhook's URL is not http:// or https://", is_temporary=False)
        headers = {"Content-Type": "application/json", "Idempotency-Key": notification.key}
        if self.token_env:
            headers["Authorization"] = f"Bearer {read_secret(self.token_env)}"
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


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Refuses redirects, which would turn the POST into a GET."""

    def redirect_request(self, *_: Any) -> None:
        return None
