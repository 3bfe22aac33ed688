"""The client's operations on what jobs leave on servers: kept threads and leftovers."""

from threadmill.errors import ThreadNotFound
from threadmill.job.result import OPEN
from threadmill.operations.base import Operations
from threadmill.store.records.remote import KeptThread, Leftover, ThreadPage


class ThreadOperations(Operations):
    """The client's operations on what jobs leave on servers: kept threads and leftovers."""

    def threads(self) -> list[KeptThread]:
        """Returns the threads that jobs with `keep_thread` kept, the last used first."""
        return self.store.threads()

    def thread(self, thread_id: str, endpoint: str) -> KeptThread:
        """Returns a kept thread. Raises ThreadNotFound."""
        return self.store.thread(endpoint, thread_id)

    def thread_page(self, *, limit: int = 100, cursor: str | None = None) -> ThreadPage:
        """Returns a part of the kept threads, the last used first in each part.

        A part has about `limit` threads, and all of them while there are few. `cursor`: `next_cursor` of the part
        before. A thread that is kept or deleted meanwhile may be left out, or come twice. Raises InvalidCursor.
        """
        return self.store.thread_page(limit, cursor)

    def thread_jobs(self, thread_id: str, endpoint: str) -> list[str]:
        """Returns the ids of the last jobs on a kept thread, at most 30 that have ended, and of its open jobs.

        They are in the order of their turns. Raises ThreadNotFound.
        """
        kept = self.thread(thread_id, endpoint)
        last, *open_jobs = self.jobs_on_thread(thread_id, endpoint)
        ended = dict.fromkeys(kept.job_ids or (last,))  # a job that was redriven has ended twice
        return [*ended, *(job_id for job_id in open_jobs if job_id not in ended)]

    def delete_thread(self, thread_id: str, endpoint: str | None = None, *, force: bool = False) -> None:
        """Lets workers delete a kept thread with its files and vector stores.

        If several endpoints have a thread with this id, all are deleted unless you name one `endpoint`. Raises
        ThreadNotFound, and ThreadInUse while jobs wait for it or run on it; with `force` it is deleted and they fail.
        """
        endpoints = [endpoint] if endpoint else [each.endpoint for each in self.threads() if each.id == thread_id]
        if not endpoints:
            raise ThreadNotFound(thread_id)
        for name in endpoints:
            self.store.forget_thread(name, thread_id, force=force)

    def jobs_on_thread(self, thread_id: str, endpoint: str) -> list[str]:
        """Returns ids: of the last job that ended on a kept thread, and of the open jobs in the order of their turns.

        A job that continues the thread now comes after the last of them. Raises ThreadNotFound.
        """
        ended, turns = self.store.jobs_on_thread(endpoint, thread_id)
        states = self.store.states(turns)
        return [ended, *(job_id for job_id in turns if states.get(job_id) in OPEN)]

    def leftovers(self) -> list[Leftover]:
        """Returns the remote objects that still have to be deleted after their jobs have ended."""
        return self.store.leftovers()

    def retry_leftovers(self) -> int:
        """Lets workers try again to delete all leftovers, including those given up. Returns their number."""
        return self.store.retry_leftovers()
