"""Makes the lines of batches jobs, in the background of a gateway.

Any gateway continues a batch where another one stopped: Redis has how far it came, and the lines have idempotency keys.
"""

import asyncio
import contextlib
import logging
import uuid
from collections.abc import AsyncIterator
from functools import partial

from threadmill.async_client import AsyncClient
from threadmill.errors import BatchNotFound, InvalidJob, SettingsError, ThreadmillError, UploadNotFound
from threadmill.job.file_batch import UNFINISHED, FileBatch, FileBatchPhase, KeptFileBatch, LineError
from threadmill.upload_files import UploadFiles
from threadmill_gateway.files.uploading import opened
from threadmill_gateway.openai.batches.file import check_lines, enqueue_lines, next_lines
from threadmill_gateway.openai.batches.lines import LINES
from threadmill_gateway.openai.errors import ApiError

log = logging.getLogger(__name__)

#: How often a gateway looks for batches that another one left, in seconds.
LOOK_S = 5.0

#: The lease of a batch; a step of `_AT_ONCE` lines takes far less.
LEASE_S = 30

#: Lines that are read, checked or enqueued in one step.
_AT_ONCE = 200

#: Batches that a gateway sees to at the same time.
_BATCHES = 8

#: Errors that a batch names.
_ERRORS = 100


class BatchEnqueueing:
    """The batches that one gateway sees to."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._files = UploadFiles(client.settings.artifacts)
        self._holder = uuid.uuid4().hex
        self._wake = asyncio.Event()
        self._working: dict[str, asyncio.Task[None]] = {}  #: by the id of the batch

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Sees to batches inside the context."""
        looking = asyncio.create_task(self._look())
        try:
            yield
        finally:
            tasks = [looking, *self._working.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def wake(self) -> None:
        """Looks for batches now."""
        self._wake.set()

    async def _look(self) -> None:
        while True:
            self._wake.clear()
            try:
                for batch_id in await self._client.call(lambda client: client.store.unfinished_file_batches()):
                    self._begin(batch_id)
            except ThreadmillError as error:  # Redis is away
                log.warning("batches of files wait: %s", error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), LOOK_S)

    def _begin(self, batch_id: str) -> None:
        if batch_id not in self._working and len(self._working) < _BATCHES:
            task = self._working[batch_id] = asyncio.create_task(self._see_to(batch_id))
            task.add_done_callback(lambda _: self._working.pop(batch_id))

    async def _see_to(self, batch_id: str) -> None:
        try:
            if await self._holds(batch_id):
                try:
                    await self._bring_forward(batch_id)
                finally:
                    await self._client.call(lambda client: client.store.release_file_batch(batch_id, self._holder))
        except ThreadmillError as error:  # Redis is away, or the store of artifacts: it is tried again
            log.warning("batch %s waits: %s", batch_id, error)
        except Exception:
            log.exception("batch %s could not be enqueued", batch_id)

    async def _bring_forward(self, batch_id: str) -> None:
        while (kept := await self._kept(batch_id)) is not None:
            if not await self._step(kept) or not await self._holds(batch_id):
                return

    async def _step(self, kept: KeptFileBatch) -> bool:
        """Brings a batch forward. Returns whether there is more to do now."""
        made, state = kept
        if state.cancelling_at is not None:
            await self._stop(kept)
            return False
        if state.phase not in UNFINISHED:
            await self._client.call(lambda client: client.store.close_file_batch(made.id))
            return False
        try:
            if state.phase is FileBatchPhase.VALIDATING:
                await self._validate(kept)
                return True
            return await self._enqueue(kept)
        except UploadNotFound as error:
            await self._fail(kept, [LineError(line=None, message=str(error), code="file_not_found")])
        except (InvalidJob, SettingsError, ApiError) as error:  # the settings have changed since the lines were checked
            await self._fail(kept, [LineError(line=None, message=str(error), code="invalid_value")])
        return True

    async def _validate(self, kept: KeptFileBatch) -> None:
        """Checks all lines. The batch fails if one is wrong."""
        errors, number, total, seen = list[LineError](), 0, 0, set[str]()
        async with opened(self._files, kept.made.upload_id) as file:
            while lines := await asyncio.to_thread(next_lines, file, number, _AT_ONCE):
                errors += await self._client.call(partial(check_lines, made=kept.made, lines=lines, seen=seen))
                number = lines[-1].number
                total += sum(1 for line in lines if line.text)
                if number > LINES:
                    message = f"The file has more than {LINES:,} lines."
                    errors.append(LineError(line=None, message=message, code="too_many_requests"))
                if len(errors) >= _ERRORS or number > LINES:
                    break
                if not await self._holds(kept.made.id):
                    return  # another gateway checks them from the start
        if total == 0 and not errors:
            errors.append(LineError(line=None, message="The file has no lines.", code="empty_file"))
        if errors:
            await self._fail(kept, errors[:_ERRORS])
            return
        now = await self._client.call(lambda client: client.store.now())
        await self._change(kept, phase=FileBatchPhase.ENQUEUEING, total=total, began_at=now)

    async def _enqueue(self, kept: KeptFileBatch) -> bool:
        """Enqueues lines until all are jobs. Returns False if the rest has to wait for its owner's jobs."""
        made, done = kept.made, kept.state.enqueued
        async with opened(self._files, made.upload_id) as file:
            await asyncio.to_thread(next_lines, file, 0, done)
            while (room := await self._room(made)) > 0:
                lines = await asyncio.to_thread(next_lines, file, done, room)
                if not lines:
                    await self._change(kept, phase=FileBatchPhase.ENQUEUED)
                    return True
                await self._client.call(partial(enqueue_lines, made=made, lines=lines))
                done = lines[-1].number
                await self._change(kept, enqueued=done)
                if not await self._holds(made.id) or await self._is_cancelled(made.id):
                    return True
        return False

    async def _room(self, made: FileBatch) -> int:
        """Returns how many lines can be enqueued now."""
        if made.owner is None or made.max_open_jobs is None:
            return _AT_ONCE
        return max(0, min(_AT_ONCE, made.max_open_jobs - await self._client.open_jobs(made.owner)))

    async def _stop(self, kept: KeptFileBatch) -> None:
        """Cancels the jobs of a batch that was cancelled."""
        with contextlib.suppress(BatchNotFound):
            await self._client.cancel_batch(kept.made.batch)
        if kept.state.phase is not FileBatchPhase.FAILED:
            await self._change(kept, phase=FileBatchPhase.STOPPED)
        await self._client.call(lambda client: client.store.close_file_batch(kept.made.id))

    async def _fail(self, kept: KeptFileBatch, errors: list[LineError]) -> None:
        now = await self._client.call(lambda client: client.store.now())
        await self._change(kept, phase=FileBatchPhase.FAILED, errors=errors, failed_at=now)
        with contextlib.suppress(BatchNotFound):  # of lines that were enqueued before the file was gone
            await self._client.cancel_batch(kept.made.batch)

    async def _kept(self, batch_id: str) -> KeptFileBatch | None:
        kept = await self._client.call(lambda client: client.store.file_batch(batch_id))
        if kept is None:
            await self._client.call(lambda client: client.store.close_file_batch(batch_id))
        return kept

    async def _is_cancelled(self, batch_id: str) -> bool:
        kept = await self._kept(batch_id)
        return kept is None or kept.state.cancelling_at is not None

    async def _holds(self, batch_id: str) -> bool:
        return await self._client.call(lambda client: client.store.hold_file_batch(batch_id, self._holder, LEASE_S))

    async def _change(self, kept: KeptFileBatch, **fields: object) -> None:
        await self._client.call(lambda client: client.store.change_file_batch(kept.made.id, **fields))
