"""Files and vector stores, which are the same in the Assistants and the Responses API."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, assert_never

import openai
from openai.types.file_create_params import ExpiresAfter

from threadmill.filenames import safe_name
from threadmill.job.result import Artifact, Failure, FailureKind
from threadmill_worker.drivers.http.api import Api
from threadmill_worker.drivers.replies.error_bodies import error_in
from threadmill_worker.drivers.replies.errors import NO_PATH
from threadmill_worker.drivers.replies.json import as_dict, as_number, parse_id
from threadmill_worker.drivers.requests.job_spec import JobSpec
from threadmill_worker.drivers.requests.tags import is_tagged, tag
from threadmill_worker.files.artifacts import ArtifactStore, NotStored
from threadmill_worker.files.attachments import Attachment
from threadmill_worker.lifecycle.actions import CreateStore, Download, FileAction, NameFile, PollStore, Upload
from threadmill_worker.lifecycle.observations import (
    Downloaded,
    FileNamed,
    NothingFound,
    Observation,
    Rejected,
    StoreSeen,
    Uploaded,
)
from threadmill_worker.lifecycle.progress import Progress

#: Objects whose ids were lost expire after this time, a day longer than a job may take by default.
_EXPIRES_S = 2 * 86400
_EXPIRES_DAYS = 2

_LISTED = 100

_UPLOADS_AT_ONCE = 4

#: Separates the id of a container from that of a file in it. Both are needed to download the file.
IN_CONTAINER = "/"

#: Statuses of a file in a vector store that will never be searchable.
_LOST = frozenset({"failed", "cancelled"})


def expiry() -> ExpiresAfter:
    """The expiry policy of an upload."""
    return {"anchor": "created_at", "seconds": _EXPIRES_S}


@dataclass(frozen=True)
class FileTransfer:
    """The artifact store and the limit of uploads, for all jobs of a process. Each upload is held in memory."""

    artifacts: ArtifactStore
    uploads: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_UPLOADS_AT_ONCE))


class Files:
    """The remote files of one job."""

    def __init__(self, api: Api, spec: JobSpec, transfer: FileTransfer) -> None:
        self._api = api
        self._spec = spec
        self._transfer = transfer

    async def do(self, action: FileAction, progress: Progress) -> Observation:
        match action:
            case Upload(index):
                return await self._upload(self._spec.attachments.uploads[index])
            case CreateStore():
                return await self._create_store(self._searched(progress))
            case PollStore(store_id) if progress.store is not None and not progress.store.own:
                return await self.poll_joined_files(store_id, self._searched(progress))
            case PollStore(store_id):
                return await self.poll_store(store_id, len(self._searched(progress)))
            case NameFile(file_id) if file_id in progress.uploaded:
                return FileNamed(file_id, self._spec.attachments.uploads[progress.uploaded.index(file_id)].name)
            case NameFile(file_id):
                return FileNamed(file_id, await self._name(file_id))
            case Download(file_id) if IN_CONTAINER in file_id:
                return await self._download_from_container(file_id)
            case Download(file_id):
                return await self._download(file_id)
            case _:
                assert_never(action)

    def _searched(self, progress: Progress) -> tuple[str, ...]:
        """Ids of the files for the job's vector store."""
        return self._spec.attachments.files_for("file_search", progress.uploaded)

    @property
    def _expires(self) -> bool:
        """Whether uploads expire. Objects that are kept with a thread do not expire."""
        return self._api.endpoint.supports.upload_expiry and not self._spec.lives_on

    async def _upload(self, attachment: Attachment) -> Observation:
        async with self._transfer.uploads:
            content = await asyncio.to_thread(attachment.read)
            reply = await self._api.call(
                self._api.sdk.files.with_raw_response.create(
                    file=(attachment.name, content, attachment.media_type),
                    purpose=attachment.purpose,
                    expires_after=expiry() if self._expires else openai.omit,
                )
            )
        return Uploaded(parse_id(reply.body))

    async def _create_store(self, file_ids: tuple[str, ...]) -> Observation:
        reply = await self._api.call(
            self._api.sdk.vector_stores.with_raw_response.create(
                name=f"threadmill {self._spec.id}",
                file_ids=list(file_ids),
                metadata=tag(self._spec.tag, "store"),
                expires_after={"anchor": "last_active_at", "days": _EXPIRES_DAYS} if self._expires else openai.omit,
            )
        )
        return _made(reply.body, len(file_ids))

    async def find_store(self, progress: Progress) -> Observation:
        """Finds the vector store of a call whose reply was lost."""
        for store in await self._api.entries(self._api.sdk.vector_stores.with_raw_response.list(limit=_LISTED)):
            if is_tagged(store, self._spec.tag, "store"):
                return _made(store, len(self._searched(progress)))
        return NothingFound()

    async def poll_store(self, store_id: str, files: int) -> Observation:
        """Checks whether all `files` files can be searched. Returns Rejected if one of them never will be.

        OGX reports a new store as completed before it has added the files; other servers send no `file_counts`. So a
        store is ready when its counts, or else its list of files, show every file as completed.
        """
        retrieve = self._api.sdk.vector_stores.with_raw_response.retrieve
        body = (await self._api.call(retrieve(store_id))).body
        counts = _file_counts(body)
        if body.get("status") == "expired":
            return _refused("the vector store of the job's files has expired on the server")
        is_open = counts["completed"] >= files or body.get("status") == "in_progress"
        if is_open and not counts.keys() & _LOST:
            return _store_seen(store_id, counts, files)
        entries = await self._files_in(store_id)
        if entries is None:  # the server does not list them
            said_nothing = not isinstance(body.get("file_counts"), dict)
            return _store_seen(store_id, Counter(completed=files) if said_nothing else counts, files)
        return _files_seen(store_id, entries, files)

    async def poll_joined_files(self, store_id: str, file_ids: tuple[str, ...]) -> Observation:
        """Checks the same for files that a message added to the thread's own store."""
        entries = await self._files_in(store_id, order="desc")
        if entries is None:  # the server does not list them: no file may be in progress
            retrieve = self._api.sdk.vector_stores.with_raw_response.retrieve
            at_work = _file_counts((await self._api.call(retrieve(store_id))).body)["in_progress"]
            return StoreSeen(store_id, not at_work, detail=f"{at_work} files are being made searchable")
        ours = [entry for entry in entries if entry.get("id") in file_ids or entry.get("file_id") in file_ids]
        return _files_seen(store_id, ours, len(file_ids))

    async def _download(self, file_id: str) -> Observation:
        """Downloads a file to the artifact store."""
        name = await self._name(file_id)
        with self._api.counting():
            async with self._api.sdk.files.with_streaming_response.content(file_id) as content:
                return await self._store(file_id, name, content.iter_bytes())

    async def _download_from_container(self, whole_id: str) -> Observation:
        """Downloads a file that code created in a container. `whole_id`: CONTAINER/FILE."""
        files, (container_id, file_id) = self._api.sdk.containers.files, whole_id.split(IN_CONTAINER, 1)
        body = (await self._api.call(files.with_raw_response.retrieve(file_id, container_id=container_id))).body
        name = str(body.get("path") or file_id).rpartition("/")[2]
        with self._api.counting():
            async with files.content.with_streaming_response.retrieve(file_id, container_id=container_id) as content:
                return await self._store(whole_id, name, content.iter_bytes())

    async def _store(self, file_id: str, name: str, chunks: AsyncIterator[bytes]) -> Observation:
        try:
            return Downloaded(await self._transfer.artifacts.put(self._spec.id, file_id, name, chunks))
        except NotStored as error:
            reason = f"{error}; it is on the server as {file_id}"
            return Downloaded(Artifact(file_id=file_id, name=safe_name(name, file_id), error=reason))

    async def _name(self, file_id: str) -> str:
        body = (await self._api.call(self._api.sdk.files.with_raw_response.retrieve(file_id))).body
        return str(body.get("filename") or file_id)

    async def _files_in(self, store_id: str, **query: Any) -> list[dict[str, Any]] | None:
        """Returns the entries of a store's files; None if the server does not list them."""
        list_files = self._api.sdk.vector_stores.files.with_raw_response.list
        try:
            return [entry async for entry in self._api.pages(list_files, vector_store_id=store_id, **query)]
        except openai.APIStatusError as error:
            if error.status_code in NO_PATH:
                return None
            raise


def _made(store: dict[str, Any], files: int) -> StoreSeen:
    """Returns a store that a call created, even if it has failed: the next poll reports the failure."""
    return _store_seen(parse_id(store), _file_counts(store), files)


def _store_seen(store_id: str, counts: Counter[str], files: int) -> StoreSeen:
    completed = counts["completed"]
    return StoreSeen(store_id, completed >= files, detail=f"{completed} of {files} files are searchable")


def _files_seen(store_id: str, entries: list[dict[str, Any]], files: int) -> StoreSeen | Rejected:
    """Returns the state of `files` files from the entries of their store."""
    if lost := [_why_lost(entry) for entry in entries if entry.get("status") in _LOST]:
        return _refused("the server cannot make files searchable: " + "; ".join(lost))
    return _store_seen(store_id, Counter(str(entry.get("status")) for entry in entries), files)


def _file_counts(store: dict[str, Any]) -> Counter[str]:
    """Returns how many files of the store have each status, if the server reports it."""
    numbers = {str(status): int(as_number(number) or 0) for status, number in as_dict(store.get("file_counts")).items()}
    return +Counter(numbers)


def _why_lost(entry: dict[str, Any]) -> str:
    error = error_in(entry.get("last_error"))
    reason = error.message or error.code or f"{entry.get('status')}, and the server gives no reason"
    return f"{entry.get('id')}: {reason}"


def _refused(message: str) -> Rejected:
    return Rejected(Failure(kind=FailureKind.REJECTED, message=message))
