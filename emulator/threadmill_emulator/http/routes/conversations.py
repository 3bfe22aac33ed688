"""Conversations and their items."""

from threadmill_emulator.http.endpoint import Call, Reply, route
from threadmill_emulator.http.pagination import page
from threadmill_emulator.objects.assistants import deleted
from threadmill_emulator.objects.responses import conversation_object
from threadmill_emulator.responses import context, items
from threadmill_emulator.responses.conversations import Conversation
from threadmill_emulator.responses.items import Item, shown
from threadmill_emulator.schemas.responses import CreateConversation, CreateItems
from threadmill_emulator.schemas.wire import Body


def _found(call: Call) -> Conversation:
    return call.state.responses.conversation(call.id("conversation_id"))


def _taken(call: Call, given: list[Body]) -> list[Item]:
    taken = items.taken(given)
    context.check_files(taken, call.state.files, "items")
    return taken


async def create(call: Call) -> Reply:
    body = call.body(CreateConversation)
    conversations = call.state.responses.conversations
    return conversation_object(conversations.create(_taken(call, [*(body.items or [])]), body.metadata or {}))


async def retrieve(call: Call) -> Reply:
    return conversation_object(_found(call))


async def delete(call: Call) -> Reply:
    call.state.responses.conversations.delete(_found(call).id)
    return deleted(call.id("conversation_id"), "conversation.deleted")


async def add_items(call: Call) -> Reply:
    conversation, body = _found(call), call.body(CreateItems)
    added = conversation.add(_taken(call, [*body.items]))
    ends = {"first_id": added[0]["id"], "last_id": added[-1]["id"]}
    return {"object": "list", "data": [shown(item) for item in added], **ends, "has_more": False}


async def list_items(call: Call) -> Reply:
    include = call.request.query_params.getlist("include[]")
    return page(call, _found(call).items, lambda item: shown(item, include))


CONVERSATION = "/conversations/{conversation_id}"
ROUTES = [
    route("POST", "/conversations", "conversations.create", create, beta=False),
    route("GET", CONVERSATION, "conversations.retrieve", retrieve, beta=False),
    route("DELETE", CONVERSATION, "conversations.delete", delete, beta=False),
    route("POST", f"{CONVERSATION}/items", "conversations.add_items", add_items, beta=False),
    route("GET", f"{CONVERSATION}/items", "conversations.list_items", list_items, beta=False),
]
