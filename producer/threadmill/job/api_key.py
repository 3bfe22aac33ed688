"""API keys of the gateway: who may call it, and for what.

A caller has the text of its key, `tm_ID_SECRET`. Redis has only the hash of the secret, so it cannot be used as a key.
"""

import hmac
import json
import re
import secrets
from base64 import b32encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Annotated, Any, NamedTuple, Self

from pydantic import AfterValidator, AwareDatetime, Field, PositiveInt, ValidationError

from threadmill.errors import InvalidApiKey
from threadmill.job.callback import SecretVariable
from threadmill.job.model import InputModel, explain

_NAME = re.compile(r"[\w@+-]{1,100}")
_TEXT = re.compile(r"tm_(?P<id>[a-z2-7]{12})_(?P<secret>[A-Za-z0-9_-]{43})")


class Scope(StrEnum):
    """What a caller may do. A scope includes no other."""

    ENQUEUE = "enqueue"  #: enqueue jobs, upload their files, cancel its own jobs
    READ = "read"  #: read its own jobs, their events and files
    OPERATE = "operate"  #: see and change the jobs of all callers, endpoints and callbacks


#: The scopes of a key that names none.
DEFAULT_SCOPES = (Scope.ENQUEUE, Scope.READ)


def _named(name: str) -> str:
    # Without a dot and a slash, NAME.BATCH and NAME/KEY belong to one caller only.
    if not _NAME.fullmatch(name):
        raise ValueError("the name of an API key has 1 to 100 letters, digits, `_`, `@`, `+`, `-`")
    return name


def _in_order(scopes: tuple[Scope, ...]) -> tuple[Scope, ...]:
    return tuple(scope for scope in Scope if scope in scopes)


class ApiKey(InputModel):
    """A key as Redis has it. Its name is the tenant of its caller's jobs.

    A restriction that only a newer version knows makes the key unreadable: to ignore it would open more than was meant.
    """

    name: Annotated[str, AfterValidator(_named)]
    id: str = ""  #: the public part of its text, for logs
    sha256: str = Field(default="", repr=False)  #: of its secret, in hexadecimal
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1), AfterValidator(_in_order)] = DEFAULT_SCOPES
    #: Names of the endpoints that its jobs may use; None: all.
    endpoints: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    created_at: AwareDatetime | None = None  #: None: the stored key is unreadable, and opens nothing
    expires_at: AwareDatetime | None = None  #: None: it is valid until it is revoked
    requests_per_minute: PositiveInt | None = None  #: None: any number; likewise below
    max_open_jobs: PositiveInt | None = None  #: queued and running jobs at the same time
    max_body_bytes: PositiveInt | None = None  #: of one request; None: the gateway's own limit
    callback_secret_env: SecretVariable | None = (
        None  #: variable of the workers with the secret that signs its callbacks
    )

    def matches(self, secret: str) -> bool:
        """Whether a secret, from `KeyText.parse`, is this key's. Takes the same time for each wrong one."""
        return hmac.compare_digest(_hash(secret), self.sha256)

    def has_expired(self, now: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= now

    @property
    def is_readable(self) -> bool:
        """Whether the stored key could be read. One that could not matches no secret and has no scope."""
        return self.created_at is not None

    @property
    def stored(self) -> str:
        """The key as Redis has it under its name."""
        return self.model_dump_json(exclude={"name"}, exclude_none=True)

    @classmethod
    def parse(cls, fields: Mapping[str, Any]) -> Self:
        """Returns a key from its creator's data. Raises InvalidApiKey, which names each wrong field."""
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            raise InvalidApiKey(explain(error)) from None

    @classmethod
    def read(cls, name: str, stored: str) -> Self:
        """Returns a stored key. Raises ValueError if it is damaged, or a newer version wrote a part of it."""
        fields = json.loads(stored)
        if not isinstance(fields, dict):
            raise ValueError("no object")
        key = cls.model_validate({**fields, "name": name})
        if not key.is_readable or len(key.sha256) != 64:
            raise ValueError("incomplete")
        return key

    @classmethod
    def unreadable(cls, name: str) -> "ApiKey":
        """Returns what stands for a stored key that cannot be read: it opens nothing."""
        return cls.model_construct(name=name, scopes=())


class KeyText(NamedTuple):
    """The parts of the text of a key."""

    id: str
    secret: str

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Returns the parts; None if the text has not the form of a key."""
        found = _TEXT.fullmatch(text)
        return cls(found["id"], found["secret"]) if found else None


@dataclass(frozen=True)
class NewApiKey:
    """A new key with its text, which is known only now."""

    key: ApiKey
    text: str = field(repr=False)  #: what the caller sends as `Authorization: Bearer TEXT`


def new_api_key(name: str, created_at: datetime, **fields: Any) -> NewApiKey:
    """Makes a key with a random id and secret. `fields`: further ones of ApiKey. Raises InvalidApiKey."""
    key_id, secret = b32encode(secrets.token_bytes(8)).decode().lower()[:12], secrets.token_urlsafe(32)
    key = ApiKey.parse({"name": name, "id": key_id, "sha256": _hash(secret), "created_at": created_at, **fields})
    if key.has_expired(created_at):
        raise InvalidApiKey(f"`expires_at`: {key.expires_at} has passed; give a later time")
    return NewApiKey(key, f"tm_{key_id}_{secret}")


def _hash(secret: str) -> str:
    # The secret has 256 random bits: no list of guesses contains it, so a slow hash would protect nothing more.
    return sha256(secret.encode()).hexdigest()
