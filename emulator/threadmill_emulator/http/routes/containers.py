"""Containers of code interpreters, and the files in them."""

from starlette.responses import Response

from threadmill_emulator.http.endpoint import Call, Reply, route
from threadmill_emulator.objects.assistants import deleted
from threadmill_emulator.objects.responses import container_file_object
from threadmill_emulator.storage.containers import Container


def _found(call: Call) -> Container:
    return call.state.responses.containers.get(call.id("container_id"))


async def delete(call: Call) -> Reply:
    call.state.responses.containers.delete(call.id("container_id"))
    return deleted(call.id("container_id"), "container.deleted")


async def retrieve_file(call: Call) -> Reply:
    container = _found(call)
    return container_file_object(container, container.files.get(call.id("file_id")))


async def content(call: Call) -> Reply:
    file = _found(call).files.get(call.id("file_id"))
    return Response(file.data, media_type="application/octet-stream")


CONTAINER = "/containers/{container_id}"
FILE = f"{CONTAINER}/files/{{file_id}}"
ROUTES = [
    route("DELETE", CONTAINER, "containers.delete", delete, beta=False),
    route("GET", FILE, "containers.retrieve_file", retrieve_file, beta=False),
    route("GET", f"{FILE}/content", "containers.content", content, beta=False),
]
