"""Reads the records of jobs."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

from threadmill.errors import InvalidJobId, JobNotFound, UnreadableRecord
from threadmill.names import is_job_id
from threadmill.store.connection import chunks
from threadmill.store.jobs.batches import BatchStore
from threadmill.store.records.job import JobRecord

#: Stands for a record whose key holds another type.
NO_HASH = {"": "no hash"}


class JobReader(BatchStore):
    """Reads records by the ids of their jobs."""

    def get(self, job_id: str) -> JobRecord:
        """Returns the job's record. Raises JobNotFound, InvalidJobId, UnreadableRecord."""
        return JobRecord.read(job_id, self.fields(job_id))

    def fields(self, job_id: str) -> dict[str, str]:
        """Returns the fields of the record as stored. Raises JobNotFound, InvalidJobId; UnreadableRecord if no hash."""
        check_id(job_id)
        [fields] = self._hashes([job_id])
        if not fields:
            raise JobNotFound(job_id)
        if fields is NO_HASH:
            raise UnreadableRecord(job_id, "", "no hash")
        return fields

    def get_many(self, job_ids: Iterable[str]) -> list[JobRecord]:
        """Returns the jobs that are kept and readable. Waits while Redis is unavailable."""
        return [record for record in self._records(list(job_ids)) if isinstance(record, JobRecord)]

    def _records(self, job_ids: Sequence[str]) -> Iterator[JobRecord | UnreadableRecord | None]:
        """Yields a record or an error for each job; None for one that is not kept."""
        for ids in chunks(job_ids):
            for job_id, fields in zip(ids, self.with_retries(partial(self._hashes, ids)), strict=True):
                try:
                    yield JobRecord.read(job_id, fields) if fields else None
                except UnreadableRecord as error:
                    yield error

    def _hashes(self, job_ids: Sequence[str]) -> list[dict[str, str]]:
        """Returns the fields of each record, or `NO_HASH` for a key of another type."""
        with self._translate_errors(), self._redis.pipeline(transaction=False) as pipe:
            for job_id in job_ids:
                pipe.hgetall(self._keys.record(job_id))
            return [NO_HASH if reply is None else reply for reply in self._replies(pipe)]


def check_id(job_id: str) -> None:
    """Raises InvalidJobId."""
    if not is_job_id(job_id):
        raise InvalidJobId(job_id)
