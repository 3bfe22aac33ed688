"""The API keys in Redis, as a gateway remembers them for a few seconds."""

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus

from threadmill.async_client import AsyncClient
from threadmill.job.api_key import ApiKey, KeyText
from threadmill_gateway.requests.problems import Problem

#: A key that was revoked opens the gateway for so many seconds more.
REMEMBERED_S = 5.0


class KeyRing:
    """Reads the keys when they are needed. `clock`: monotonic, in seconds."""

    def __init__(self, client: AsyncClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._reading = asyncio.Lock()
        self._keys: Mapping[str, ApiKey] = {}
        self._is_empty = True
        self._stale_at = float("-inf")

    async def is_empty(self) -> bool:
        """Whether there are no keys; one that has expired or cannot be read counts. Raises StoreUnavailable."""
        await self._read()
        return self._is_empty

    async def key_of(self, text: str) -> ApiKey:
        """Returns the valid key that has this text. Raises Problem, and StoreUnavailable."""
        await self._read()
        parts = KeyText.parse(text)
        key = self._keys.get(parts.id) if parts else None
        if parts is None or key is None or not key.matches(parts.secret):
            raise unauthorised("there is no such API key, or it was revoked", error="invalid_token")
        if key.has_expired(datetime.now(UTC)):
            raise unauthorised(f"the API key {key.name} has expired ({key.expires_at})", error="invalid_token")
        return key

    async def valid_key(self, key_id: str) -> ApiKey | None:
        """Returns the key with this id; None if it was revoked or has expired. Raises StoreUnavailable."""
        await self._read()
        key = self._keys.get(key_id)
        return None if key is None or key.has_expired(datetime.now(UTC)) else key

    async def _read(self) -> None:
        async with self._reading:  # one request reads, the others wait for it
            if self._clock() < self._stale_at:
                return
            began_at = self._clock()
            found = await self._client.api_keys()
            self._is_empty = not found
            self._keys = {key.id: key for key in found if key.is_readable}
            self._stale_at = began_at + REMEMBERED_S


def unauthorised(detail: str, error: str | None = None) -> Problem:
    """Returns the refusal of a request without a valid API key. `error`: the code of RFC 6750 for a wrong one."""
    challenge = "Bearer" + (f' error="{error}"' if error else "")
    remedy = "send `Authorization: Bearer tm_...`; an operator creates keys with `threadmill keys create NAME`"
    return Problem(HTTPStatus.UNAUTHORIZED, detail, remedy, headers={"WWW-Authenticate": challenge})
