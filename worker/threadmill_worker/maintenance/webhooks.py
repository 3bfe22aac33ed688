"""Has runs and remote batches polled at once when webhooks of their server say that they have ended."""

import structlog

from threadmill_worker.attempt.attempts import Attempts
from threadmill_worker.maintenance.batch_lane import BatchLane
from threadmill_worker.store.webhooks import BatchEnded, RunEnded, WebhookStore

log = structlog.get_logger(__name__)


class Webhooks:
    """Reads for one worker process. A webhook decides nothing: what the poll finds counts."""

    def __init__(self, store: WebhookStore, attempts: Attempts, lane: BatchLane) -> None:
        self._store = store
        self._attempts = attempts
        self._lane = lane

    async def once(self) -> None:
        """Reads until Redis is unavailable."""
        while self._store.is_used:
            match await self._store.read():
                case RunEnded(job_id, run_id):
                    log.debug("run ended", job_id=job_id, run_id=run_id, reason="a webhook says so")
                    self._attempts.run_ended(job_id, run_id)
                case BatchEnded(endpoint, batch_id):
                    self._lane.batch_ended(endpoint, batch_id)
                case None:
                    pass
