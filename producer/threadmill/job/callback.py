"""Where to send a callback: a POST request when a job or a batch has ended."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, StringConstraints, ValidationError

from threadmill.errors import InvalidJob
from threadmill.job.model import InputModel, explain

#: `webhook`: the body of Standard Webhooks; `cloudevents`: a CloudEvents 1.0 event in structured JSON.
CallbackFormat = Literal["webhook", "cloudevents"]

_UNUSABLE = re.compile(r"[\x00-\x20\x7f\\]")


def _callable(url: str) -> str:
    if _UNUSABLE.search(url):
        raise ValueError("has a space, a backslash or a control character: percent-encode it")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("is not a URL: write https://HOST/PATH") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ValueError("is not an http or https URL with a host: write https://HOST/PATH")
    if "@" in parts.netloc:
        raise ValueError("has a user or a password, which Redis would store: sign the callback with a secret instead")
    if "#" in url:
        raise ValueError("has a fragment (#...), which is never sent: leave it out")
    return url


CallbackUrl = Annotated[str, StringConstraints(max_length=2000), AfterValidator(_callable)]

#: The name of a variable in the environment of the workers, which holds a secret as `whsec_...`.
SecretVariable = Annotated[str, StringConstraints(pattern=r"^\w+$", max_length=200)]


class Callback(InputModel):
    """The receiver of a callback. It holds the name of the secret's variable, never the secret."""

    url: CallbackUrl  #: http or https, without a user and a fragment; at most 2,000 characters
    secret_env: SecretVariable | None = None  #: None: callbacks are not signed
    format: CallbackFormat = "webhook"

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Self:
        """Returns a receiver from a caller's data. Raises InvalidJob, which names each wrong field."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise InvalidJob(f"the callback: {explain(error)}") from None
