"""The record of a message that no worker could deliver."""

from base64 import b64encode
from datetime import datetime
from hashlib import sha256
from typing import Self

from pydantic import AwareDatetime

from threadmill.job.model import StoredModel

#: Bytes kept of a message; threadmill's own messages are shorter.
_KEPT_BYTES = 65_536


class DeadLetter(StoredModel):
    """A queue message that no worker could deliver."""

    at: AwareDatetime  #: when a worker took it off the queue
    reason: str
    size: int  #: bytes
    sha256: str
    body: str  #: its first 64 kB in base64

    @classmethod
    def of(cls, item: bytes, reason: str, at: datetime) -> Self:
        body = b64encode(item[:_KEPT_BYTES]).decode()
        return cls(at=at, reason=reason, size=len(item), sha256=sha256(item).hexdigest(), body=body)
