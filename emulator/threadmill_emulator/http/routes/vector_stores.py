"""Vector stores, the files in them, and batches of files."""

from typing import Literal

from threadmill_emulator.errors.refusals import parse
from threadmill_emulator.http.endpoint import Call, Reply, route
from threadmill_emulator.http.pagination import Query, page
from threadmill_emulator.objects.assistants import Object, deleted
from threadmill_emulator.objects.stores import batch_object, store_object, stored_file_object
from threadmill_emulator.runs.settings import dumped
from threadmill_emulator.schemas.stores import CreateBatch, CreateStoredFile, CreateVectorStore, ModifyVectorStore
from threadmill_emulator.storage.resources import check_file_ids
from threadmill_emulator.storage.vector_stores import StoredFile, VectorStore


class StoredFilesQuery(Query):
    filter: Literal["in_progress", "completed", "failed", "cancelled"] | None = None


def _found(call: Call) -> VectorStore:
    return call.state.stores.get(call.id("vector_store_id"))


def _shown(call: Call, store: VectorStore) -> Object:
    return store_object(store, call.state.clock(), call.emulator.options.extras)


async def create(call: Call) -> Reply:
    body = call.body(CreateVectorStore)
    check_file_ids(call.state.files, body.file_ids, "file_ids")
    store = call.state.stores.create(
        body.file_ids,
        body.name or "",
        body.metadata,
        dumped(body.expires_after, None),
        dumped(body.chunking_strategy, None),
    )
    return _shown(call, store)


async def list_(call: Call) -> Reply:
    return page(call, call.state.stores.all(), lambda store: _shown(call, store))


async def retrieve(call: Call) -> Reply:
    return _shown(call, _found(call))


async def modify(call: Call) -> Reply:
    store, body = _found(call), call.body(ModifyVectorStore)
    for name in body.model_fields_set & {"name", "metadata"}:
        setattr(store, name, getattr(body, name) or type(getattr(store, name))())
    if "expires_after" in body.model_fields_set:
        store.expires_after = dumped(body.expires_after, None)
    store.last_active = call.state.clock()
    return _shown(call, store)


async def delete(call: Call) -> Reply:
    call.state.stores.delete(call.id("vector_store_id"))
    return deleted(call.id("vector_store_id"), "vector_store.deleted")


async def add_file(call: Call) -> Reply:
    store, body = _found(call), call.body(CreateStoredFile)
    check_file_ids(call.state.files, [body.file_id], "file_id")
    return stored_file_object(_added(call, store, body), call.state.clock())


def _added(call: Call, store: VectorStore, body: CreateStoredFile) -> StoredFile:
    return call.state.stores.add(store, body.file_id, dumped(body.chunking_strategy, None), body.attributes)


def _page_of_files(call: Call, files: list[StoredFile]) -> Reply:
    now, wanted = call.state.clock(), parse(StoredFilesQuery, dict(call.query)).filter
    found = [file for file in files if wanted in (None, file.status(now))]
    return page(call, found, lambda file: stored_file_object(file, now))


async def list_files(call: Call) -> Reply:
    return _page_of_files(call, list(_found(call).files.values()))


async def retrieve_file(call: Call) -> Reply:
    stored = call.state.stores.get_file(call.id("vector_store_id"), call.id("file_id"))
    return stored_file_object(stored, call.state.clock())


async def remove_file(call: Call) -> Reply:
    stored = call.state.stores.get_file(call.id("vector_store_id"), call.id("file_id"))
    del _found(call).files[stored.file.id]
    return deleted(stored.file.id, "vector_store.file.deleted")


async def create_batch(call: Call) -> Reply:
    store, entries = _found(call), call.body(CreateBatch).entries()
    check_file_ids(call.state.files, [entry.file_id for entry in entries], "file_ids")
    batch = call.state.stores.batch(store, [_added(call, store, entry) for entry in entries])
    return batch_object(batch, call.state.clock())


async def retrieve_batch(call: Call) -> Reply:
    batch = call.state.stores.get_batch(call.id("vector_store_id"), call.id("batch_id"))
    return batch_object(batch, call.state.clock())


async def cancel_batch(call: Call) -> Reply:
    now = call.state.clock()
    batch = call.state.stores.get_batch(call.id("vector_store_id"), call.id("batch_id"))
    for file in batch.files:
        file.cancelled |= file.status(now) == "in_progress"
    return batch_object(batch, now)


async def list_batch_files(call: Call) -> Reply:
    batch = call.state.stores.get_batch(call.id("vector_store_id"), call.id("batch_id"))
    return _page_of_files(call, list(batch.files))


STORE = "/vector_stores/{vector_store_id}"
BATCH = f"{STORE}/file_batches/{{batch_id}}"
ROUTES = [
    route("POST", "/vector_stores", "vector_stores.create", create),
    route("GET", "/vector_stores", "vector_stores.list", list_),
    route("GET", STORE, "vector_stores.retrieve", retrieve),
    route("POST", STORE, "vector_stores.modify", modify),
    route("DELETE", STORE, "vector_stores.delete", delete),
    route("POST", f"{STORE}/files", "vector_stores.add_file", add_file),
    route("GET", f"{STORE}/files", "vector_stores.list_files", list_files),
    route("GET", f"{STORE}/files/{{file_id}}", "vector_stores.retrieve_file", retrieve_file),
    route("DELETE", f"{STORE}/files/{{file_id}}", "vector_stores.remove_file", remove_file),
    route("POST", f"{STORE}/file_batches", "vector_stores.create_batch", create_batch),
    route("GET", BATCH, "vector_stores.retrieve_batch", retrieve_batch),
    route("POST", f"{BATCH}/cancel", "vector_stores.cancel_batch", cancel_batch),
    route("GET", f"{BATCH}/files", "vector_stores.list_batch_files", list_batch_files),
]
