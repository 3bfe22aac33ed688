"""Files and vector stores that the jobs of a batch share: the first job that needs one creates it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from threadmill.settings.endpoints.pool_name import pool_name
from threadmill.store.records.job import JobRecord
from threadmill.store.records.remote import LeftoverRecord
from threadmill_worker.drivers.requests.job_spec import JobSpec
from threadmill_worker.lifecycle.actions import CreateStore, CreateThread, Making, Upload
from threadmill_worker.lifecycle.observations import NotSent, Observation, StoreSeen, Uploaded
from threadmill_worker.lifecycle.progress import Progress
from threadmill_worker.store.jobs import JobStore
from threadmill_worker.store.remote import Busy

#: How long one job may take to create a shared object, and how often the others check for it.
HOLD_S = 120.0
PAUSE_S = 0.3


class SharedObjects:
    """The shared objects of one job's batch."""

    def __init__(
        self,
        record: JobRecord,
        spec: JobSpec,
        job_store: JobStore,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._job_id = record.id
        self._batch = record.job.batch
        self._spec = spec
        self._job_store = job_store
        self._sleep = sleep

    async def create(
        self,
        action: Making,
        progress: Progress,
        call: Callable[[], Awaitable[Observation]],
        is_ending: Callable[[], bool],
    ) -> Observation:
        """Returns the shared object if it exists. Otherwise creates it with `call`, and returns the result of that.

        While another job creates the object, waits until `is_ending` returns True.
        """
        batch, name = self._batch, self._name(action, progress)
        if batch is None or name is None:
            return await call()
        while isinstance(found := await self._job_store.claim_shared(batch, name, self._job_id, HOLD_S), Busy):
            if is_ending():
                return NotSent("the job ends before another job of its batch has created the object that they share")
            await self._sleep(PAUSE_S)
        if isinstance(found, str):
            return Uploaded(found, True) if isinstance(action, Upload) else StoreSeen(found, ready=False, shared=True)
        seen = await call()
        if isinstance(seen, Uploaded | StoreSeen):
            kind = "file" if isinstance(seen, Uploaded) else "vector_store"
            leftover = LeftoverRecord(endpoint=self._spec.endpoint, kind=kind, id=seen.id, key=self._spec.key)
            return replace(seen, shared=await self._job_store.add_shared(batch, name, leftover))
        await self._job_store.release_shared(batch, name, self._job_id)
        return seen

    def _name(self, action: Making, progress: Progress) -> str | None:
        """Returns the name of the object, derived from its content. Files of kept threads are not shared."""
        server, attachments = pool_name(self._spec.endpoint, key=self._spec.key), self._spec.attachments
        if progress.features.keep_thread or progress.features.continues:
            return None
        match action:
            case Upload(index):
                file = attachments.uploads[index]
                return f"{server}/{file.purpose}/{file.sha256}/{file.media_type}"
            case CreateStore():
                return f"{server}/store/" + ",".join(attachments.files_for("file_search", progress.uploaded))
            case CreateThread():
                return None
