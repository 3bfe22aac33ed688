"""Assistants."""

from threadmill_emulator.http.endpoint import Call, Reply, route
from threadmill_emulator.http.pagination import page
from threadmill_emulator.objects.assistants import assistant_object, deleted
from threadmill_emulator.runs.settings import assistant_settings, dumped
from threadmill_emulator.runs.threads import Assistant
from threadmill_emulator.schemas.runs import CreateAssistant, ModifyAssistant


def _given(call: Call, body: ModifyAssistant) -> dict[str, object]:
    """Returns the fields of the body that an assistant object contains."""
    given = {name: getattr(body, name) for name in body.model_fields_set - {"reasoning_effort"}}
    if "tools" in given:
        given["tools"] = [dumped(tool, {}) for tool in body.tools]
    if "tool_resources" in given:
        given["tool_resources"] = call.state.tool_resources(body.tool_resources)
    if "response_format" in given:
        given["response_format"] = dumped(body.response_format, "auto")
    return given


async def create(call: Call) -> Reply:
    body = call.body(CreateAssistant)
    assistant = Assistant(call.state.clock(), assistant_settings(**_given(call, body)))
    call.state.assistants[assistant.id] = assistant
    return assistant_object(assistant)


async def list_(call: Call) -> Reply:
    return page(call, call.state.assistants.values(), assistant_object)


async def retrieve(call: Call) -> Reply:
    return assistant_object(call.state.assistant(call.id("assistant_id")))


async def modify(call: Call) -> Reply:
    assistant = call.state.assistant(call.id("assistant_id"))
    assistant.settings |= _given(call, call.body(ModifyAssistant))
    return assistant_object(assistant)


async def delete(call: Call) -> Reply:
    assistant = call.state.assistant(call.id("assistant_id"))
    del call.state.assistants[assistant.id]
    return deleted(assistant.id, "assistant.deleted")


ROUTES = [
    route("POST", "/assistants", "assistants.create", create),
    route("GET", "/assistants", "assistants.list", list_),
    route("GET", "/assistants/{assistant_id}", "assistants.retrieve", retrieve),
    route("POST", "/assistants/{assistant_id}", "assistants.modify", modify),
    route("DELETE", "/assistants/{assistant_id}", "assistants.delete", delete),
]
