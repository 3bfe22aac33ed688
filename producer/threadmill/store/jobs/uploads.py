"""The producer's operations on the records of uploads. upload_files.py stores their files.

A file is stored between `begin_upload` and `add_upload`. Workers delete the files that have no record, or none any
more, when the jobs that use them have ended.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, cast

from threadmill import stored
from threadmill.errors import UploadNotFound
from threadmill.job.message import UPLOAD_ID
from threadmill.job.prompt import PromptJob
from threadmill.job.upload import Upload
from threadmill.store.connection import Connection

#: A file whose upload has no record so long after its beginning is deleted.
_ABANDONED_AFTER_S = 3600

#: When workers first see whether the jobs that use a file have ended.
_FIRST_LOOK_S = 60

#: Entries of a list that are read for one page.
_READ_FOR_A_PAGE = 1000


class UploadStore(Connection):
    """Adds, reads, lists and deletes the records of uploads."""

    def begin_upload(self, upload_id: str) -> None:
        """Has the file deleted unless `add_upload` follows within an hour."""
        with self._translate_errors():
            self._redis.zadd(self._keys.uploads_due, {upload_id: self.now().timestamp() + _ABANDONED_AFTER_S})

    def add_upload(self, upload: Upload) -> None:
        """Adds the record of a stored file."""
        created = upload.created_at.timestamp()
        due = created + _FIRST_LOOK_S if upload.until_used else upload.expires_at.timestamp()
        lifetime_s = max(1, int((upload.expires_at - upload.created_at).total_seconds()))
        with self._translate_errors(), self._redis.pipeline(transaction=True) as pipe:
            pipe.set(self._keys.upload(upload.id), upload.model_dump_json(), ex=lifetime_s)
            for key in self._upload_lists(upload.owner):
                pipe.zadd(key, {upload.id: created})
            pipe.zadd(self._keys.uploads_due, {upload.id: due})
            pipe.execute()

    def upload(self, upload_id: str) -> Upload:
        """Raises UploadNotFound."""
        found = self._read_uploads([upload_id])[0] if UPLOAD_ID.match(upload_id) else None
        if found is None:
            raise UploadNotFound(upload_id)
        return found

    def uploads(
        self, owner: str | None, limit: int, *, after: str | None = None, purpose: str | None = None
    ) -> list[Upload]:
        """Returns at most `limit` uploads of an owner, or of all (None), the newest first; `after`: older than this.

        Reads 1,000 at most. Raises UploadNotFound for an `after` that is not in the list.
        """
        key = self._upload_lists(owner)[-1]
        top = self._upload_score(key, after) if after is not None else "+inf"
        with self._translate_errors():
            ids = cast(
                list[str],
                self._redis.zrange(
                    key, cast(Any, top), cast(Any, "-inf"), desc=True, byscore=True, offset=0, num=_READ_FOR_A_PAGE
                ),
            )
        read = dict(zip(ids, self._read_uploads(ids), strict=True))
        if expired := [upload_id for upload_id, upload in read.items() if upload is None]:
            with self._translate_errors():
                self._redis.zrem(key, *expired)
        return [each for each in read.values() if each and purpose in (None, each.purpose)][:limit]

    def delete_upload(self, upload_id: str) -> None:
        """Deletes the record; a worker deletes the file when the jobs that use it have ended. Raises UploadNotFound."""
        upload = self.upload(upload_id)
        with self._translate_errors(), self._redis.pipeline(transaction=True) as pipe:
            pipe.zadd(self._keys.uploads_due, {upload_id: self.now().timestamp()})
            pipe.delete(self._keys.upload(upload_id))
            for key in self._upload_lists(upload.owner):
                pipe.zrem(key, upload_id)
            pipe.execute()

    def upload_lifetime(self, now: datetime) -> datetime:
        """Returns when an upload made now expires, unless its owner says otherwise."""
        return now + timedelta(seconds=self._settings.failed_ttl_s)

    def _use_uploads(self, jobs: Sequence[tuple[str, PromptJob]]) -> None:
        """Records, before these jobs are created, that they use their uploads."""
        using = [(job_id, upload_id) for job_id, job in jobs for upload_id in job.uploads]
        if not using:
            return
        now = self.now().timestamp()
        with self._translate_errors(), self._redis.pipeline(transaction=False) as pipe:
            for job_id, upload_id in using:
                pipe.hset(self._keys.upload_jobs(upload_id), mapping={job_id: now, "": now})
            pipe.execute()

    def _upload_score(self, key: str, upload_id: str) -> str:
        with self._translate_errors():
            score = self._redis.zscore(key, upload_id)
        if score is None:
            raise UploadNotFound(upload_id)
        return f"({score!r}"

    def _read_uploads(self, ids: Sequence[str]) -> list[Upload | None]:
        with self._translate_errors(), self._redis.pipeline(transaction=False) as pipe:
            for upload_id in ids:
                pipe.get(self._keys.upload(upload_id))
            texts = self._replies(pipe)
        return [
            stored.read(Upload, text, f"upload {upload_id}") if text else None
            for upload_id, text in zip(ids, texts, strict=True)
        ]

    def _upload_lists(self, owner: str | None) -> list[str]:
        return [self._keys.uploads] if owner is None else [self._keys.uploads, self._keys.owned_uploads(owner)]
