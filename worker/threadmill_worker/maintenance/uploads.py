"""Deletes the files of uploads that were deleted or have expired, or whose jobs have ended, if that was asked for."""

import asyncio

import structlog

from threadmill.errors import UploadNotFound, UploadNotStored
from threadmill.job.upload import Upload
from threadmill.settings.settings import Settings
from threadmill.upload_files import UploadFiles
from threadmill_worker.store.redis_clock import RedisClock
from threadmill_worker.store.uploads import Due, UploadStore

log = structlog.get_logger(__name__)

#: Uploads that a worker looks at in one round.
AT_ONCE = 20

#: The pauses between two looks at an upload whose jobs are open. They grow with its age.
_LOOK_FIRST_S, _LOOK_LONGEST_S = 60.0, 3600.0


class Uploads:
    """The uploads that one worker process looks at."""

    def __init__(self, settings: Settings, store: UploadStore, clock: RedisClock) -> None:
        self._files = UploadFiles(settings.artifacts)
        self._store = store
        self._clock = clock

    async def once(self) -> None:
        """Looks at some uploads that are due."""
        for due in await self._store.take_due(AT_ONCE):
            try:
                await self._look_at(due)
            except UploadNotStored as error:  # this worker may lack the rights; it is due again after a while
                log.warning("upload not deleted", upload=due.id, reason=str(error))

    async def _look_at(self, due: Due) -> None:
        use = await self._store.use(due.id)
        now = self._clock.now()
        if use.is_over and (due.upload is None or (due.upload.until_used and use.has_begun)):
            await self._delete(due)
        else:
            await self._store.look_again(due.id, pause_s(due.upload, now))

    async def _delete(self, due: Due) -> None:
        try:
            await asyncio.to_thread(self._files.delete, due.id)
        except UploadNotFound:  # a damaged entry, which names no file
            log.warning("upload unknown", upload=due.id)
        await self._store.forget(due)
        log.info("upload deleted", upload=due.id)


def pause_s(upload: Upload | None, now: float) -> float:
    """Returns after how many seconds to look again at an upload that is still needed. PURE."""
    if upload is None:
        return _LOOK_FIRST_S
    until_expiry_s = max(1.0, upload.expires_at.timestamp() - now + 1)
    if not upload.until_used:
        return until_expiry_s
    age_s = now - upload.created_at.timestamp()
    return min(until_expiry_s, max(_LOOK_FIRST_S, min(age_s / 4, _LOOK_LONGEST_S)))
