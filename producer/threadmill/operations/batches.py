"""The client's operations on batches."""

from collections.abc import Mapping
from typing import Any

from threadmill.job.callback import Callback
from threadmill.job.result import TERMINAL, JobState
from threadmill.operations.base import Operations
from threadmill.store.jobs.batch_lists import BatchPage, BatchPlace
from threadmill.store.jobs.batches import Finished
from threadmill.store.records.batch import BatchRecord


class BatchOperations(Operations):
    """The client's operations on batches."""

    def batches(self) -> list[BatchRecord]:
        """Returns the batches that are kept, the latest change first."""
        return self.store.batches()

    def batch(self, name: str) -> BatchRecord:
        """Returns a batch: jobs by state, tokens and calls spent, failures by kind. Raises BatchNotFound."""
        return self.store.batch(name)

    def batch_page(self, *, limit: int = 50, cursor: str | None = None, search: str = "") -> BatchPage:
        """Returns a page of the list that `batches` returns: its first batches, or those after `cursor`.

        `cursor`: `next_cursor` of a page. `search`: their names contain this text, in upper or lower case; if few of a
        thousand do, the page has fewer than `limit`, and `next_cursor` goes on. A batch that changes between two pages
        may be left out. Raises InvalidCursor, and ValueError if `limit` is less than 1.
        """
        if limit < 1:
            raise ValueError(f"`limit` is {limit}: give 1 or more")
        return self.store.batch_page(limit, cursor, search)

    def first_job(self, batch: str) -> str | None:
        """Returns the id of the job that was created first; None if the batch has none yet. Raises BatchNotFound."""
        return self.store.first_job(batch)

    def batch_place(self, batch: str, job_id: str) -> BatchPlace:
        """Returns where a job is among the jobs of its batch, and its neighbours, by their creation.

        Raises BatchNotFound, and JobNotFound if the job is not in the batch.
        """
        return self.store.batch_place(batch, job_id)

    def ended_jobs(self, batch: str, *, after: str = "0-0") -> list[Finished]:
        """Returns jobs of the batch in the order in which they ended: the first ones, or those after a `cursor`.

        A thousand at a time: ask again, after the last one, until none is returned. A job that was redriven comes
        again. Raises BatchNotFound, InvalidCursor.
        """
        return self.store.ended_jobs(batch, after)

    def pause(self, batch: str) -> None:
        """Stops workers from starting jobs of the batch; running jobs finish. Raises BatchNotFound."""
        self.store.set_batch_flag(batch, "paused")

    def resume(self, batch: str) -> None:
        """Lets workers start jobs of a paused batch again. Raises BatchNotFound."""
        self.store.set_batch_flag(batch, "paused", False)

    def limit_batch(self, batch: str, concurrent: int | None) -> None:
        """Limits how many of the batch's jobs run at a time; None removes the limit. Running jobs continue.

        Raises BatchNotFound, and ValueError if `concurrent` is less than 1.
        """
        if concurrent is not None and concurrent < 1:
            raise ValueError(f"`concurrent` is {concurrent}: give 1 or more, or pause the batch")
        self.store.limit_batch(batch, concurrent)

    def set_batch_callback(self, batch: str, callback: Callback | Mapping[str, Any]) -> None:
        """Has a callback sent once, when no job of the batch is open; at once if none is. Replaces one not yet sent.

        Call it after you have enqueued the jobs. Raises BatchNotFound, and InvalidJob for a wrong field.
        """
        self.store.set_batch_callback(batch, callback if isinstance(callback, Callback) else Callback.parse(callback))

    def cancel_batch(self, batch: str) -> dict[str, JobState]:
        """Stops the command that enqueues the batch, and cancels its unfinished jobs. Returns their states now.

        Raises BatchNotFound.
        """
        self.store.set_batch_flag(batch, "cancel_requested")
        ids = self.store.batch_jobs(batch)
        known = self.store.states(ids)  # a job with an unreadable state may be unfinished
        return self.store.cancel_many([job_id for job_id in ids if known.get(job_id) not in TERMINAL])

    def redrive_batch(self, batch: str) -> dict[str, JobState]:
        """Enqueues the batch's failed jobs again. Returns their states now. Raises BatchNotFound."""
        self.store.check_batch(batch)
        states = self.store.states(self.store.batch_jobs(batch))
        return self.store.redrive_many([job_id for job_id, state in states.items() if state is JobState.FAILED])
