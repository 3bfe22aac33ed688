"""The jobs on a thread as a conversation, from our records: no server is asked."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from threadmill.client import Client
from threadmill.errors import JobNotFound, ThreadNotFound, UnreadableRecord, UploadNotFound
from threadmill.store.records.job import JobRecord

#: Uploads of a conversation whose names are read.
_NAMES = 100


@dataclass(frozen=True)
class Conversation:
    """`turns`: jobs in their order. `missing`: jobs of the thread that are no longer kept. `names`: of uploads."""

    turns: tuple[JobRecord, ...] = ()
    missing: int = 0
    names: dict[str, str] = field(default_factory=dict)


def thread_of(record: JobRecord) -> str | None:
    """Returns the thread that a job has kept, or continues: another job can continue it."""
    return (record.result.thread_id if record.result else None) or record.job.thread


def read_conversation(client: Client, endpoint: str, thread: str) -> Conversation:
    """Reads the last jobs on a thread, with those that are open. One that is not kept here has none. It blocks."""
    try:
        ids = client.thread_jobs(thread, endpoint)
        ended = client.thread(thread, endpoint).jobs
    except ThreadNotFound:
        return Conversation()
    turns = tuple(record for job_id in ids if (record := _record(client, job_id)) is not None)
    kept = sum(1 for record in turns if record.result is not None)
    return Conversation(turns, max(0, ended - kept), upload_names(client, turns))


def upload_names(client: Client, records: Sequence[JobRecord]) -> dict[str, str]:
    """Returns the names of the uploads of jobs that are still there. It blocks."""
    names: dict[str, str] = {}
    for upload_id in [each for record in records for each in record.job.uploads][:_NAMES]:
        try:
            names[upload_id] = client.store.upload(upload_id).name
        except UploadNotFound:
            continue
    return names


def _record(client: Client, job_id: str) -> JobRecord | None:
    try:
        return client.get(job_id)
    except (JobNotFound, UnreadableRecord):
        return None
