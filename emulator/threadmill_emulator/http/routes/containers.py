"""Containers of code interpreters, and the files in them."""

from starlette.responses import Response

from threadmill_emulator.http.endpoint import Call, Reply, route
from threadmill_emulator.http.pagination import page
from threadmill_emulator.objects.assistants import deleted
from threadmill_emulator.objects.responses import container_file_object, container_object
from threadmill_emulator.storage.containers import Container


def _found(call: Call) -> Container:
    return call.state.responses.containers.get(call.id("container_id"))


async def retrieve(call: Call) -> Reply:
    return container_object(_found(call))


async def delete(call: Call) -> Reply:
    call.state.responses.containers.delete(call.id("container_id"))
    return deleted(call.id("container_id"), "container.deleted")


async def list_files(call: Call) -> Reply:
    container = _found(call)
    return page(call, container.files.all(), lambda file: container_file_object(container, file))


async def retrieve_file(call: Call) -> Reply:
    container = _found(call)
    return container_file_object(container, container.files.get(call.id("file_id")))


async def content(call: Call) -> Reply:
    file = _found(call).files.get(call.id("file_id"))
    return Response(file.data, media_type="application/octet-stream")


async def delete_file(call: Call) -> Reply:
    _found(call).files.delete(call.id("file_id"))
    return deleted(call.id("file_id"), "container.file.deleted")


CONTAINER = "/containers/{container_id}"
FILE = f"{CONTAINER}/files/{{file_id}}"
ROUTES = [
    route("GET", CONTAINER, "containers.retrieve", retrieve, beta=False),
    route("DELETE", CONTAINER, "containers.delete", delete, beta=False),
    route("GET", f"{CONTAINER}/files", "containers.list_files", list_files, beta=False),
    route("GET", FILE, "containers.retrieve_file", retrieve_file, beta=False),
    route("GET", f"{FILE}/content", "containers.content", content, beta=False),
    route("DELETE", FILE, "containers.delete_file", delete_file, beta=False),
]
