"""The API keys of the gateway, as it knows them: they are read from Redis every few seconds."""

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus

from threadmill.async_client import AsyncClient
from threadmill.job.api_key import ApiKey, KeyText
from threadmill_gateway.problems import Problem

#: For how long the keys are not read again, in seconds: a revoked key opens the gateway so long at most.
KNOWN_S = 5.0


class KeyRing:
    """Finds the key of a request. `clock` returns monotonic seconds."""

    def __init__(self, client: AsyncClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._keys: Mapping[str, ApiKey] = {}
        self._read_at: float | None = None
        self._reading = asyncio.Lock()

    async def are_there_any(self) -> bool:
        """Whether callers need a key. Raises StoreUnavailable."""
        return bool(await self._current())

    async def find(self, text: str | None) -> ApiKey:
        """Returns the valid key with this text. Raises Problem (401), and StoreUnavailable."""
        parts = KeyText.parse(text or "")
        key = (await self._current()).get(parts.id) if parts else None
        if key is None or parts is None or not key.matches(parts.secret):
            what = "the API key is unknown or was revoked" if text else "this gateway needs an API key"
            raise _unauthorized(what, "send `Authorization: Bearer tm_...`; `threadmill keys create NAME` makes a key")
        if key.has_expired(datetime.now(UTC)):
            raise _unauthorized(f"the API key {key.name} has expired", "ask the gateway's operator for another one")
        return key

    async def _current(self) -> Mapping[str, ApiKey]:
        async with self._reading:
            now = self._clock()
            if self._read_at is None or now - self._read_at >= KNOWN_S:
                self._keys = {key.id: key for key in await self._client.api_keys()}
                self._read_at = now
        return self._keys


def _unauthorized(detail: str, remedy: str) -> Problem:
    return Problem(HTTPStatus.UNAUTHORIZED, detail, remedy, headers={"WWW-Authenticate": "Bearer"})
