"""Who calls, and what a caller may do."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends

from threadmill.errors import JobNotFound
from threadmill.store.records import JobRecord
from threadmill_gateway.state import Gateway


@dataclass(frozen=True)
class Caller:
    """`name`: the name of its API key, and the tenant of its jobs; None: the gateway has no keys."""

    name: str | None = None

    def sees(self, record: JobRecord) -> bool:
        """Whether the caller may know that the job exists."""
        return self.name is None or record.job.tenant == self.name


async def caller() -> Caller:
    """Returns who sent a request."""
    return Caller()


#: The parameter of a route that reads, enqueues, or operates.
Reader = Annotated[Caller, Depends(caller)]
Enqueuer = Annotated[Caller, Depends(caller)]
Operator = Annotated[Caller, Depends(caller)]


async def record_of(gateway: Gateway, caller: Caller, job_id: str) -> JobRecord:
    """Returns the record of a job. Raises JobNotFound also for a job that the caller may not see."""
    record = await gateway.client.get(job_id)
    if not caller.sees(record):
        raise JobNotFound(job_id)
    return record
