"""A worker without jobs of its own, which claims and ends the jobs that a test names."""

from typing import Any

from threadmill import JobRecord, JobResult
from threadmill_worker.store.jobs import JobStore, Lease


class Holder(JobStore):
    """The records as this worker sees them; `leases`: its latest claim of each job."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.leases: dict[str, Lease] = {}

    async def take(self, job_id: str) -> JobRecord | None:
        """Claims the job."""
        lease = self.lease(job_id)
        record = await self.claim(lease)
        if record is not None:  # otherwise an earlier lease may hold it
            self.leases[job_id] = lease
        return record

    async def end(self, result: JobResult, **more: Any) -> None:
        """Ends the job, whether or not it was claimed."""
        await self.finish(self.leases.get(result.job_id) or self.lease(result.job_id), result, (), **more)

    async def sweep(self, interruptions: int = 1000) -> list[tuple[str, int]]:
        """Rescues the jobs whose lease has expired, unless that happened `interruptions` times in a row."""
        await self.redis.set(self._keys.sweep, self._name)
        return await self.rescue(interruptions)
