"""The prompts of a check on a server of the Responses API. What they make there is deleted."""

import asyncio
from collections.abc import Mapping
from typing import Any

from threadmill_worker.admin.discovery import prompts, replies
from threadmill_worker.admin.discovery.asking import Asker, ask_feature, stream_said
from threadmill_worker.admin.discovery.findings import said
from threadmill_worker.drivers.http.exchange import Reply, Unreached
from threadmill_worker.drivers.replies.paths import object_in
from threadmill_worker.lifecycle.observations import ENDED

_PATH = "/responses"

#: How often the end of a response is looked for before it is deleted, and the pause between two looks in seconds.
_LOOKS, _PAUSE_S = 20, 0.5


async def ask_background(asker: Asker, model: str) -> str | None:
    """Finds out whether the server works in the background and stores responses.

    Returns why no prompt was answered. Raises Unreached.
    """
    body = prompts.response(model, prompts.SHORT)
    kept = body | {"store": True}
    reply = await asker.ask("POST", _PATH, kept | {"background": True})
    if replies.names(reply, "background"):
        asker.find("background", False, f"POST {_PATH} with background: {said(reply)}")
        reply = await asker.ask("POST", _PATH, kept)
        if not replies.is_answered(reply):
            return f"POST {_PATH} with model {model!r}: {said(reply)}"
    elif reply.status != 200 or "id" not in object_in(reply.text):
        return f"POST {_PATH} with model {model!r}: {said(reply)}"
    else:
        made = object_in(reply.text)
        how = f"POST {_PATH} with background: status {made.get('status')}"
        asker.find("background", replies.in_background(made), how)
    await _find_stored(asker, str(object_in(reply.text).get("id") or ""))
    return None


async def ask_responses(asker: Asker, model: str, *, background: bool) -> None:
    """Finds out the other features."""
    await _ask_stream(asker, model, background=background)
    for feature, body, judge in (
        ("tools", prompts.response_with_function(model), replies.calls_function),
        ("json_schema", prompts.response_with_schema(model), replies.keeps_schema),
        ("data_urls", prompts.response_with_image(model), replies.accepts),
    ):
        reply = await ask_feature(asker, feature, _PATH, body, judge)
        await _delete(asker, object_in(reply.text).get("id") if reply else None)


async def _find_stored(asker: Asker, response: str) -> None:
    """Finds out whether a response is stored, and deletes it, also if the command is interrupted meanwhile."""
    path = f"{_PATH}/{response}"
    body: Mapping[str, Any] = {}
    is_stored = True  # as far as is known
    try:
        reply = await _ended(asker, path)
        if reply is not None:
            body = object_in(reply.text)
            is_stored = reply.status == 200 and body.get("object") == "response"
            asker.find("stored_responses", is_stored, f"GET {_PATH}/ID: {said(reply)}")
    finally:
        if is_stored and response:
            if _is_under_way(body):
                await asker.ask_quietly("POST", f"{path}/cancel", {})
            await asker.ask_quietly("DELETE", path)


async def _ended(asker: Asker, path: str) -> Reply | None:
    """Returns the last look at a response: the one that found it ended, unless it takes long."""
    reply = await asker.ask_quietly("GET", path)
    for _ in range(_LOOKS):
        if reply is None or reply.status != 200 or not _is_under_way(object_in(reply.text)):
            break
        await asyncio.sleep(_PAUSE_S)
        reply = await asker.ask_quietly("GET", path)
    return reply


async def _ask_stream(asker: Asker, model: str, *, background: bool) -> None:
    """Asks for a stream as a worker does: in the background if the server works there."""
    more = {"background": True, "store": True} if background else {}
    try:
        reply = await asker.ask("POST", _PATH, prompts.response(model, prompts.SHORT, **more), stream=True)
    except Unreached as error:
        asker.find("streaming", None, f"POST {_PATH} with stream: {error}")
        return
    events = replies.stream_of(reply)
    has = replies.has_text(events) if reply.status == 200 else replies.accepts(reply)
    asker.find("streaming", has, f"POST {_PATH} with stream: {stream_said(reply, events)}")
    await _delete(asker, replies.id_of(events) or object_in(reply.text).get("id"))


async def _delete(asker: Asker, response: Any) -> None:
    """Deletes a response, which a server that stores none does not know."""
    stored = next((each.has for each in asker.findings if each.feature == "stored_responses"), None)
    if isinstance(response, str) and response and stored:
        await asker.ask_quietly("DELETE", f"{_PATH}/{response}")


def _is_under_way(body: Mapping[str, Any]) -> bool:
    return body.get("status") not in ENDED
