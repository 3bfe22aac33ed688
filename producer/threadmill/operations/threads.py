"""The client's operations on what jobs leave on servers: kept threads and leftovers."""

from threadmill.errors import ThreadNotFound
from threadmill.job.result import OPEN
from threadmill.operations.base import Operations
from threadmill.store.remote_records import KeptThread, Leftover


class ThreadOperations(Operations):
    """The client's operations on what jobs leave on servers: kept threads and leftovers."""

    def threads(self) -> list[KeptThread]:
        """Returns the threads that jobs with `keep_thread` kept, the last used first."""
        return self.store.threads()

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
