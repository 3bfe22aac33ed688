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


@dataclass
class StoredFile:
    file: File
    store_id: str
    created: float
    ready: float  #: when its indexing ends

    def status(self, now: float) -> str:
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


class VectorStores:
    def __init__(self, clock: Callable[[], float], files: Files, options: Options) -> None:
        self._clock, self._files, self._options = clock, files, options
        self._stores: dict[str, VectorStore] = {}
        self.created = 0  #: how many have been created

    def create(
        self,
        file_ids: Iterable[str],
        name: str = "",
        metadata: dict[str, str] | None = None,
        expires_after: dict[str, Any] | None = None,
    ) -> VectorStore:
        now = self._clock()
        store = VectorStore(now, name, metadata or {}, expires_after, now)
        self._stores[store.id] = store
        self.created += 1
        for id in () if "empty_stores" in self._options.extras else file_ids:
            self.add(store, id)
        return store

    def add(self, store: VectorStore, file_id: str) -> None:
        now = self._clock()
        store.files[file_id] = StoredFile(self._files.get(file_id), store.id, now, now + self._options.index_s)
        store.last_active = now

    def get(self, id: str) -> VectorStore:
        if id not in self._stores:
            raise not_found("vector store", id)
        store = self._stores[id]
        # A deleted file is no longer in any store.
        store.files = {id: stored for id, stored in store.files.items() if id in self._files}
        return store

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
