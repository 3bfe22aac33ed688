"""What queued jobs wait for."""

from datetime import UTC, datetime

from threadmill.errors import BatchNotFound
from threadmill.job.result import JobState
from threadmill.store.fleet.pools import PoolStore
from threadmill.store.fleet.workers import WorkerStore
from threadmill.store.jobs.batches import BatchStore
from threadmill.store.records.flow import Flow


class QueueStore(BatchStore, PoolStore, WorkerStore):
    """Explains the ready queue: lua/include/queue.lua."""

    def waits_for(self, job_id: str) -> str | None:
        """Returns what a queued job waits for, in words; None if it is not queued."""
        match self._run("queue/position", id=job_id):
            case ["remote_batch"]:
                return "its remote batch"
            case ["delayed", until]:
                return f"its start time, {_moment(until)}"
            case ["turn", first]:
                return f"its turn on its thread, after job {first}"
            case ["ready", flow, before, limited_since]:
                return self._ready_waits_for(Flow.parse(flow), int(before), is_limited=bool(limited_since))
            case ["dispatched", since]:
                return f"a worker to take its message from queue {self._settings.queue!r}, sent {_moment(since)}"
            case ["lost"]:
                return "the next sweep of a worker: it is in none of the places where queued jobs wait"
            case _:
                return None

    def _ready_waits_for(self, flow: Flow, before: int, *, is_limited: bool) -> str:
        if not self.live_workers():
            return "a worker: none is running"
        if flow.batch and (reason := self._batch_reason(flow.batch)):
            return reason
        awaited = [pool for pool in self.pools() if pool.name in flow.pools and pool.wait_reason]
        if awaited and (is_limited or len(awaited) == len(flow.pools)):
            return " and ".join(f"{pool.label}, which is {pool.wait_reason}" for pool in awaited)
        return "a free slot of a worker" + (f"; jobs like it that come first: {before:,}" if before else "")

    def _batch_reason(self, name: str) -> str | None:
        """Returns why a batch starts no jobs now, or None."""
        try:
            batch = self.batch(name)
        except BatchNotFound:
            return None
        if batch.paused:
            return f"batch {name}, which is paused"
        if batch.concurrent is not None and batch.jobs.get(JobState.RUNNING, 0) >= batch.concurrent:
            return f"the end of another job of batch {name}, which runs at most {batch.concurrent:,} at a time"
        return None


def _moment(seconds: str) -> str:
    return f"{datetime.fromtimestamp(float(seconds), UTC):%Y-%m-%d %H:%M:%S} UTC"
