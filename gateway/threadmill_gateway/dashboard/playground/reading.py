"""Reads what the playground shows beside the job of its page."""

from typing import Any

from threadmill.store.records.job import JobRecord
from threadmill_gateway.dashboard.conversation import Conversation, read_conversation, thread_of, upload_names
from threadmill_gateway.dashboard.playground.form import Choices, Typed
from threadmill_gateway.dashboard.playground.saved import saved
from threadmill_gateway.requests.state import Gateway


async def choices_of(gateway: Gateway) -> Choices:
    """Returns what the form offers."""
    return Choices.of(gateway.settings, await gateway.client.applied_profiles())


async def conversation_of(gateway: Gateway, typed: Typed) -> Conversation:
    """Returns the conversation that a form continues."""
    if not typed.thread.strip():
        return Conversation()
    endpoint = gateway.settings.endpoint_name(typed.endpoint.strip() or None)
    return await gateway.client.call(lambda client: read_conversation(client, endpoint, typed.thread.strip()))


async def shown_job(gateway: Gateway, record: JobRecord) -> dict[str, Any]:
    """Returns what a page shows that does not change while its job runs: the turns before, and the choices."""
    thread, endpoint = thread_of(record), record.endpoint or record.job.endpoint
    whole = Conversation()
    if thread and endpoint:
        whole = await gateway.client.call(lambda client: read_conversation(client, endpoint, thread))
    ids = [turn.id for turn in whole.turns]
    at = ids.index(record.id) if record.id in ids else len(ids)
    names = whole.names | await gateway.client.call(lambda client: upload_names(client, [record]))
    return {
        "conversation": Conversation(whole.turns[:at], whole.missing, names),
        "continued": ids[-1] if at + 1 < len(ids) else None,
        "saved": saved(record.job, gateway.settings, names),
        "form": record.id,
        "choices": await choices_of(gateway),
    }
