"""Who calls, and what a caller may do."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends

from threadmill.store.records import JobRecord


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
