"""Vector stores, and the files in them."""

from threadmill_emulator.http.endpoint import Call, Reply, route
from threadmill_emulator.http.pagination import page
from threadmill_emulator.objects.assistants import Object, deleted
from threadmill_emulator.objects.stores import store_object, stored_file_object
from threadmill_emulator.runs.settings import dumped
from threadmill_emulator.schemas.threads import CreateVectorStore
from threadmill_emulator.storage.resources import check_file_ids
from threadmill_emulator.storage.vector_stores import VectorStore


def _found(call: Call) -> VectorStore:
    return call.state.stores.get(call.id("vector_store_id"))


def _shown(call: Call, store: VectorStore) -> Object:
    return store_object(store, call.state.clock(), call.emulator.options.extras)


async def create(call: Call) -> Reply:
    body, stores = call.body(CreateVectorStore), call.state.stores
    check_file_ids(call.state.files, body.file_ids, "file_ids")
    store = stores.create(body.file_ids, body.name or "", body.metadata, dumped(body.expires_after, None))
    return _shown(call, store)


async def list_(call: Call) -> Reply:
    return page(call, call.state.stores.all(), lambda store: _shown(call, store))


async def retrieve(call: Call) -> Reply:
    return _shown(call, _found(call))


async def delete(call: Call) -> Reply:
    call.state.stores.delete(call.id("vector_store_id"))
    return deleted(call.id("vector_store_id"), "vector_store.deleted")


async def list_files(call: Call) -> Reply:
    now = call.state.clock()
    return page(call, _found(call).files.values(), lambda file: stored_file_object(file, now))


STORE = "/vector_stores/{vector_store_id}"
ROUTES = [
    route("POST", "/vector_stores", "vector_stores.create", create),
    route("GET", "/vector_stores", "vector_stores.list", list_),
    route("GET", STORE, "vector_stores.retrieve", retrieve),
    route("DELETE", STORE, "vector_stores.delete", delete),
    route("GET", f"{STORE}/files", "vector_stores.list_files", list_files),
]
