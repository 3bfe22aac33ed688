"""Vector stores: the files that file_search can search. Each file is ready some time after it was added."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from threadmill_emulator.errors.api_error import not_found
from threadmill_emulator.ids import new_id
from threadmill_emulator.scripting.options import Options
from threadmill_emulator.storage.files import File, Files
from threadmill_emulator.storage.filetypes import FILE_SEARCH, extension

DAY_S = 86_400
#: The expiry of stores that OpenAI creates together with a thread.
IN_PASSING = {"anchor": "last_active_at", "days": 7}
CHUNKING = {"type": "static", "static": {"max_chunk_size_tokens": 800, "chunk_overlap_tokens": 400}}


@dataclass
class StoredFile:
    file: File
    store_id: str
    created: float
    ready: float  #: when its indexing ends
    chunking: dict[str, Any]
    attributes: dict[str, Any]
    cancelled: bool = False

    def status(self, now: float) -> str:
        if self.cancelled:
            return "cancelled"
        if now < self.ready:
            return "in_progress"
        return "completed" if extension(self.file.name) in FILE_SEARCH else "failed"


@dataclass
class VectorStore:
    created: float
    name: str
    metadata: dict[str, str]
    expires_after: dict[str, Any] | None
    last_active: float
    id: str = field(default_factory=lambda: new_id("vs"))
    files: dict[str, StoredFile] = field(default_factory=dict)

    @property
    def expires(self) -> float | None:
        return self.last_active + self.expires_after["days"] * DAY_S if self.expires_after else None

    def status(self, now: float) -> str:
        if self.expires is not None and now >= self.expires:
            return "expired"
        busy = any(file.status(now) == "in_progress" for file in self.files.values())
        return "in_progress" if busy else "completed"


@dataclass(frozen=True)
class Batch:
    """Files that were added to a store by one request."""

    store_id: str
    created: float
    files: tuple[StoredFile, ...]
    id: str = field(default_factory=lambda: new_id("vsfb"))

    def status(self, now: float) -> str:
        seen = {file.status(now) for file in self.files}
        return next((status for status in ("cancelled", "in_progress") if status in seen), "completed")


class VectorStores:
    def __init__(self, clock: Callable[[], float], files: Files, options: Options) -> None:
        self._clock, self._files, self._options = clock, files, options
        self._stores: dict[str, VectorStore] = {}
        self._batches: dict[str, Batch] = {}
        self.created = 0  #: how many have been created

    def create(
        self,
        file_ids: Iterable[str],
        name: str = "",
        metadata: dict[str, str] | None = None,
        expires_after: dict[str, Any] | None = None,
        chunking: dict[str, Any] | None = None,
    ) -> VectorStore:
        now = self._clock()
        store = VectorStore(now, name, metadata or {}, expires_after, now)
        self._stores[store.id] = store
        self.created += 1
        for id in () if "empty_stores" in self._options.extras else file_ids:
            self.add(store, id, chunking)
        return store

    def add(
        self,
        store: VectorStore,
        file_id: str,
        chunking: dict[str, Any] | None = None,
        attributes: dict[str, Any] | None = None,
    ) -> StoredFile:
        now = self._clock()
        used = chunking if chunking and chunking["type"] == "static" else CHUNKING
        added = StoredFile(self._files.get(file_id), store.id, now, now + self._options.index_s, used, attributes or {})
        store.files[file_id], store.last_active = added, now
        return added

    def batch(self, store: VectorStore, files: Iterable[StoredFile]) -> Batch:
        batch = Batch(store.id, self._clock(), tuple(files))
        self._batches[batch.id] = batch
        return batch

    def get(self, id: str) -> VectorStore:
        if id not in self._stores:
            raise not_found("vector store", id)
        store = self._stores[id]
        # A deleted file is no longer in any store.
        store.files = {id: stored for id, stored in store.files.items() if id in self._files}
        return store

    def get_file(self, store_id: str, file_id: str) -> StoredFile:
        if file_id not in (files := self.get(store_id).files):
            raise not_found("file", file_id)
        return files[file_id]

    def get_batch(self, store_id: str, batch_id: str) -> Batch:
        batch = self._batches.get(batch_id)
        if batch is None or batch.store_id != self.get(store_id).id:
            raise not_found("file batch", batch_id)
        return batch

    def delete(self, id: str) -> None:
        del self._stores[self.get(id).id]

    def all(self) -> list[VectorStore]:
        """Oldest first."""
        return [self.get(id) for id in self._stores]

    def searchable(self, ids: Iterable[str]) -> list[File]:
        """Returns the files that a run can search, without waiting for their indexing; a real server waits."""
        now = self._clock()
        stores = [self.get(id) for id in ids if id in self]
        found: dict[str, File] = {}
        for store in stores:
            if store.status(now) != "expired":
                store.last_active = now
                found |= {id: each.file for id, each in store.files.items() if each.status(each.ready) == "completed"}
        return list(found.values())

    def __contains__(self, id: str) -> bool:
        return id in self._stores
