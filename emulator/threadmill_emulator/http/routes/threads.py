"""Threads."""

from threadmill_emulator.errors.api_error import missing
from threadmill_emulator.http.endpoint import Call, Reply, route
from threadmill_emulator.objects.assistants import deleted, thread_object
from threadmill_emulator.schemas.threads import CreateThread, ModifyThread


async def create(call: Call) -> Reply:
    body = call.body(CreateThread)
    if not body.messages and not call.emulator.options.offers("empty_threads"):
        raise missing("messages")
    return thread_object(call.state.create_thread(body))


async def retrieve(call: Call) -> Reply:
    return thread_object(call.state.thread(call.id("thread_id")))


async def modify(call: Call) -> Reply:
    thread, body = call.state.thread(call.id("thread_id")), call.body(ModifyThread)
    if "metadata" in body.model_fields_set:
        thread.metadata = body.metadata or {}
    if "tool_resources" in body.model_fields_set:
        thread.tool_resources = call.state.tool_resources(body.tool_resources)
    return thread_object(thread)


async def delete(call: Call) -> Reply:
    thread = call.state.thread(call.id("thread_id"))
    call.state.delete_thread(thread)
    return deleted(thread.id, "thread.deleted")


ROUTES = [
    route("POST", "/threads", "threads.create", create),
    route("GET", "/threads/{thread_id}", "threads.retrieve", retrieve),
    route("POST", "/threads/{thread_id}", "threads.modify", modify),
    route("DELETE", "/threads/{thread_id}", "threads.delete", delete),
]
