"""Messages of a thread."""

from threadmill_emulator.http.endpoint import Call, Reply, route
from threadmill_emulator.http.pagination import page
from threadmill_emulator.objects.assistants import message_object
from threadmill_emulator.schemas.wire import CreateMessage


async def create(call: Call) -> Reply:
    thread = call.state.thread(call.id("thread_id"))
    message = call.state.add_message(thread, call.body(CreateMessage))
    return message_object(message, thread.quirks)


async def list_(call: Call) -> Reply:
    thread = call.state.thread(call.id("thread_id"))
    quirks, run_id = thread.quirks, call.query.get("run_id")
    messages = list(thread.messages.values())
    if run_id is not None and "no_run_filter" not in quirks:
        messages = [message for message in messages if message.run_id == run_id]
    if "float_times" in quirks:
        # In a list with the newest first, messages of the same second then keep the order in which they were written.
        messages.reverse()
        messages.sort(key=lambda message: int(message.created))
    return page(call, messages, lambda message: message_object(message, quirks))


ROUTES = [
    route("GET", "/threads/{thread_id}/messages", "messages.list", list_),
    route("POST", "/threads/{thread_id}/messages", "messages.create", create),
]
