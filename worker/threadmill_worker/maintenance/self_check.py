"""Whether this worker can work: what it knows of Redis, of Celery's consumer, and of the jobs that it receives."""

import time
from collections.abc import Callable

import structlog

from threadmill.settings.settings import Settings
from threadmill_worker.maintenance.heartbeats import Heartbeats
from threadmill_worker.monitoring.consumption import Consumption
from threadmill_worker.store.jobs import JobStore
from threadmill_worker.watchdog import give_up

log = structlog.get_logger(__name__)


class SelfCheck:
    """Ends a worker that cannot work, so that its supervisor starts a new one. Notes when it becomes deaf.

    `heard_at`: when Celery's consumer last had a reply to its question for messages, by the monotonic clock; None:
    nobody knows. `is_full`: whether no slot is free.
    """

    def __init__(
        self,
        settings: Settings,
        store: JobStore,
        heartbeats: Heartbeats,
        heard_at: Callable[[], float | None] | None,
        is_full: Callable[[], bool],
    ) -> None:
        self._settings = settings
        self._store = store
        self._heartbeats = heartbeats
        self._consumption = Consumption(heard_at, settings.deaf_limit_s) if heard_at else None
        self._is_full = is_full
        self._last_job_at = time.monotonic()
        self._was_deaf = False

    @property
    def is_consuming(self) -> bool | None:
        """Whether Celery's consumer takes messages; None: not known."""
        return self._consumption.is_consuming if self._consumption else None

    @property
    def consumer_silent_s(self) -> float:
        """For how long the consumer has taken no messages; 0 if that is not known."""
        return self._consumption.silent_s if self._consumption else 0.0

    def job_received(self) -> None:
        self._last_job_at = time.monotonic()

    def listen(self, *, has_free_slot: bool) -> None:
        """Looks whether the consumer takes messages."""
        if self._consumption is None:
            return
        self._consumption.look(has_free_slot=has_free_slot)
        is_deaf = self.is_consuming is False
        if is_deaf and not self._was_deaf:
            log.error(
                "worker is deaf",
                reason="Celery's consumer takes no messages although slots are free",
                restart_in_s=round(max(0.0, self._settings.idle_restart_s - self._settings.deaf_limit_s)),
            )
        elif self._was_deaf and not is_deaf:
            log.info("worker is no longer deaf")
        self._was_deaf = is_deaf

    async def once(self) -> None:
        if (away_s := self._heartbeats.silent_s) > self._settings.redis_outage_tolerance_s:
            give_up(f"Redis has been unavailable for {away_s:.0f} s")
        deaf_s = self.consumer_silent_s
        if self.is_consuming is False and deaf_s > self._settings.idle_restart_s:
            give_up(f"Celery's consumer has taken no messages for {deaf_s:.0f} s")
        now = time.monotonic()
        if self._is_full() or not await self._store.waiting():
            self._last_job_at = now  # no slot is free, or no job waits
        elif (idle_s := min(now - self._last_job_at, self._heartbeats.stable_s)) > self._settings.idle_restart_s:
            give_up(f"jobs are waiting, but Celery has delivered none for {idle_s:.0f} s")
