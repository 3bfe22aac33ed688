"""The files that batches make: the answers, and the errors. They are made from the jobs while they are read."""

from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass

from threadmill.errors import BatchNotFound
from threadmill.job.file_batch import FileBatch, KeptFileBatch
from threadmill.store.records.batch import BatchRecord
from threadmill_gateway.openai.batches.object import ENDED, OUTPUT, batch_of_file, line_of, status_of
from threadmill_gateway.requests.callers import Caller
from threadmill_gateway.requests.state import Gateway

#: Jobs that are in memory at a time.
_AT_ONCE = 100


@dataclass(frozen=True)
class OutputFile:
    """A file of a batch that has ended."""

    made: FileBatch
    kind: str
    created_at: int  #: when the batch ended

    @property
    def name(self) -> str:
        return f"{self.made.id}_{'output' if self.kind == OUTPUT else 'error'}.jsonl"


async def batch_of(gateway: Gateway, caller: Caller, batch_id: str) -> KeptFileBatch | None:
    """Returns a batch; None also for one of another caller."""
    kept = await gateway.client.call(lambda client: client.store.file_batch(batch_id))
    return kept if kept is not None and caller.owns(kept.made.owner) else None


async def jobs_of(gateway: Gateway, made: FileBatch) -> BatchRecord | None:
    """Returns the counters of the jobs of a batch; None if it has none, or they are no longer kept."""
    with suppress(BatchNotFound):
        return await gateway.client.batch(made.batch)
    return None


async def output_file(gateway: Gateway, caller: Caller, file_id: str) -> OutputFile | None:
    """Returns a file of a batch; None for other ids, other callers, and batches that have not ended."""
    found = batch_of_file(file_id)
    kept = await batch_of(gateway, caller, found[0]) if found else None
    if found is None or kept is None:
        return None
    jobs = await jobs_of(gateway, kept.made)
    if jobs is None or status_of(kept.state, jobs) not in ENDED:
        return None
    return OutputFile(kept.made, found[1], int(jobs.changed_at.timestamp()))


async def output_content(gateway: Gateway, file: OutputFile) -> AsyncGenerator[bytes, None]:
    """Yields the lines of a file, the last job first. Only some jobs are in memory at a time."""
    cursor = None
    while True:
        page = await gateway.client.job_page(batch=file.made.batch, limit=_AT_ONCE, cursor=cursor)
        lines = (line_of(file.made, each, each.result, gateway.settings) for each in page.jobs if each.result)
        if text := b"".join(line for kind, line in lines if kind == file.kind):
            yield text
        if (cursor := page.next_cursor) is None:
            return


async def output_size(gateway: Gateway, file: OutputFile) -> int:
    """Returns the bytes of a file; makes it for this."""
    return sum([len(text) async for text in output_content(gateway, file)])
