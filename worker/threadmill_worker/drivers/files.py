"""Files and vector stores on the server: the same in the Assistants and the Responses API."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import openai
from openai.types.file_create_params import ExpiresAfter

from threadmill.result import Artifact, Failure, FailureKind
from threadmill_worker.artifacts import ArtifactStore, NotStored
from threadmill_worker.drivers.api import Api
from threadmill_worker.drivers.assistants_wire import parse_id
from threadmill_worker.drivers.error_bodies import error_in
from threadmill_worker.drivers.marks import is_marked, mark
from threadmill_worker.filenames import safe_name
from threadmill_worker.materials import Material
from threadmill_worker.views import Downloaded, FileNamed, NothingFound, Refused, StoreSeen, Uploaded, View

#: What is lost goes away by itself after this: a day longer than any job of ours may take by default.
_EXPIRES_S = 2 * 86400
_EXPIRES_DAYS = 2

_LISTED = 100

_UPLOADS_AT_ONCE = 4


def expiry() -> ExpiresAfter:
    """Of an upload."""
    return {"anchor": "created_at", "seconds": _EXPIRES_S}


@dataclass(frozen=True)
class Exchange:
    """Where files come and go, for all jobs of a process. An upload is held in memory while it is sent."""

    artifacts: ArtifactStore
    uploads: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_UPLOADS_AT_ONCE))


class Files:
    """For one job. Files of other jobs are not touched."""

    def __init__(self, api: Api, job_id: str, mark: str, exchange: Exchange) -> None:
        self._api = api
        self._job_id = job_id
        self._mark = mark
        self._exchange = exchange

    async def upload(self, material: Material, *, lives_on: bool) -> View:
        """`lives_on`: with its thread, past any expiry."""
        expires = self._api.endpoint.expires_after and not lives_on
        async with self._exchange.uploads:
            content = await asyncio.to_thread(material.read)
            reply = await self._api.ask(
                self._api.client.files.with_raw_response.create(
                    file=(material.name, content, material.media_type),
                    purpose=material.purpose,
                    expires_after=expiry() if expires else openai.omit,
                )
            )
        return Uploaded(parse_id(reply.body))

    async def create_store(self, file_ids: tuple[str, ...], *, lives_on: bool) -> View:
        expires = self._api.endpoint.expires_after and not lives_on
        reply = await self._api.ask(
            self._api.client.vector_stores.with_raw_response.create(
                name=f"threadmill {self._job_id}",
                file_ids=list(file_ids),
                metadata=mark(self._mark, "store"),
                expires_after={"anchor": "last_active_at", "days": _EXPIRES_DAYS} if expires else openai.omit,
            )
        )
        return await self._seen(reply.body)

    async def find_store(self) -> View:
        """The store of a call whose reply was lost."""
        for store in await self._api.entries(self._api.client.vector_stores.with_raw_response.list(limit=_LISTED)):
            if is_marked(store, self._mark, "store"):
                return await self._seen(store)
        return NothingFound()

    async def look_at_store(self, store_id: str) -> View:
        return await self._seen(
            (await self._api.ask(self._api.client.vector_stores.with_raw_response.retrieve(store_id))).body
        )

    async def name(self, file_id: str) -> View:
        return FileNamed(file_id, await self._name(file_id))

    async def download(self, file_id: str) -> View:
        """To the artifact store."""
        name = await self._name(file_id)
        self._api.calls += 1
        async with self._api.client.files.with_streaming_response.content(file_id) as content:
            return await self._store(file_id, name, content.iter_bytes())

    async def download_from_container(self, container_id: str, file_id: str) -> View:
        """What the Responses API's code interpreter made: such a file goes with its container."""
        files, whole_id = self._api.client.containers.files, f"{container_id}/{file_id}"
        body = (await self._api.ask(files.with_raw_response.retrieve(file_id, container_id=container_id))).body
        name = str(body.get("path") or file_id).rpartition("/")[2]
        self._api.calls += 1
        async with files.content.with_streaming_response.retrieve(file_id, container_id=container_id) as content:
            return await self._store(whole_id, name, content.iter_bytes())

    async def _store(self, file_id: str, name: str, chunks: AsyncIterator[bytes]) -> View:
        try:
            return Downloaded(await self._exchange.artifacts.put(self._job_id, file_id, name, chunks))
        except NotStored as error:
            reason = f"{error}; it is on the server as {file_id}"
            return Downloaded(Artifact(file_id=file_id, name=safe_name(name, file_id), error=reason))

    async def delete(self, kind: str, thing_id: str) -> None:
        """A file or a vector store; what is gone counts as deleted."""
        client = self._api.client
        delete = (
            client.files.with_raw_response.delete if kind == "file" else client.vector_stores.with_raw_response.delete
        )
        with suppress(openai.NotFoundError):
            await self._api.ask(delete(thing_id))

    async def _name(self, file_id: str) -> str:
        body = (await self._api.ask(self._api.client.files.with_raw_response.retrieve(file_id))).body
        return str(body.get("filename") or file_id)

    async def _seen(self, store: dict[str, Any]) -> View:
        store_id = parse_id(store)
        counts = store.get("file_counts")
        failed = counts.get("failed") if isinstance(counts, dict) else 0
        if failed:
            return Refused(Failure(kind=FailureKind.REJECTED, message=await self._why_unsearchable(store_id)))
        return StoreSeen(store_id, ready=store.get("status") == "completed")

    async def _why_unsearchable(self, store_id: str) -> str:
        failed = await self._api.entries(
            self._api.client.vector_stores.files.with_raw_response.list(store_id, filter="failed", limit=_LISTED)
        )
        reasons = []
        for entry in failed:
            error = error_in(entry.get("last_error"))
            reasons.append(f"{entry.get('id')}: {error.message or error.code or 'no reason given'}")
        return "the server cannot make files searchable: " + "; ".join(reasons)
