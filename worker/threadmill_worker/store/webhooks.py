"""What webhooks of servers say to one worker process: which runs and remote batches have ended."""

import time
from dataclasses import dataclass

import structlog

from threadmill.redis import client
from threadmill.settings.settings import Settings
from threadmill.store.connection import BLOCK_S
from threadmill_worker.store.connection import Connection

log = structlog.get_logger(__name__)

#: How often a worker asks whether webhooks arrive, in seconds.
REFRESH_S = 5.0


@dataclass(frozen=True)
class RunEnded:
    job_id: str
    run_id: str


@dataclass(frozen=True)
class BatchEnded:
    endpoint: str
    batch_id: str


class WebhookStore(Connection):
    """Reads with a connection of its own, because a read waits. `name` is the worker's.

    Only endpoints with `webhook_secret_env` have webhooks.
    """

    def __init__(self, settings: Settings, name: str) -> None:
        super().__init__(settings, client.asynchronous(settings.redis_url))
        self._own = self._keys.woken(name)
        self._endpoints = [name for name, each in settings.endpoints.items() if each.webhook_secret_env]
        self._batches = {self._keys.ended_batches(endpoint): endpoint for endpoint in self._endpoints}
        self._arriving: set[str] = set()
        self._refresh_at = 0.0

    @property
    def is_used(self) -> bool:
        """Whether any endpoint has webhooks."""
        return bool(self._endpoints)

    def has(self, endpoint: str) -> bool:
        """Whether webhooks say when the runs of an endpoint end."""
        return endpoint in self._endpoints

    def are_arriving(self, endpoint: str) -> bool:
        """Whether one came for a run of this endpoint, of any worker, in the last ten minutes."""
        return endpoint in self._arriving

    async def read(self) -> RunEnded | BatchEnded | None:
        """Waits for the next news. Returns None after a few seconds without."""
        if time.monotonic() >= self._refresh_at:
            await self._refresh()
        found = await self._redis.brpop([self._own, *self._batches], timeout=BLOCK_S)
        if found is None:
            return None
        key, entry = map(str, found)
        if endpoint := self._batches.get(key):
            return BatchEnded(endpoint, entry)
        job_id, endpoint, run_id = entry.split(" ", 2)
        if endpoint not in self._arriving:
            await self._refresh()
        return RunEnded(job_id, run_id)

    async def _refresh(self) -> None:
        async with self._redis.pipeline(transaction=False) as pipe:
            for endpoint in self._endpoints:
                pipe.exists(self._keys.webhooks(endpoint))
            arrive = await pipe.execute()
        arriving = {endpoint for endpoint, is_there in zip(self._endpoints, arrive, strict=True) if is_there}
        for endpoint in arriving ^ self._arriving:
            log.info("webhooks arrive" if endpoint in arriving else "no webhooks arrive", endpoint=endpoint)
        self._arriving = arriving
        self._refresh_at = time.monotonic() + REFRESH_S

    async def close(self) -> None:
        await self._redis.aclose()
