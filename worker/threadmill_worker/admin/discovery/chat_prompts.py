"""The prompts of a check on a server with Chat Completions."""

from collections.abc import Mapping
from typing import Any

from threadmill_worker.admin.discovery import prompts, replies
from threadmill_worker.admin.discovery.asking import Asker, ask_feature, stream_said
from threadmill_worker.admin.discovery.findings import said
from threadmill_worker.drivers.http.exchange import Reply, Unreached

_PATH = "/chat/completions"

#: The fields that limit the tokens of an answer, the newer one first.
_NEWER, _OLDER = "max_completion_tokens", "max_tokens"


async def ask_chat(asker: Asker, model: str) -> str | None:
    """Finds out the features of the server with a model. Returns why no prompt was answered. Raises Unreached."""
    newer = await _ask_with_limit(asker, model, _NEWER)
    if _is_usable(newer) and replies.heeds_limit(newer, prompts.FEW) is not False:
        asker.find(_NEWER, True, f"POST {_PATH} with {_NEWER}: {said(newer)}")
        await _ask_more(asker, model, _NEWER)
        return None
    if not _is_usable(newer) and not replies.names(newer, _NEWER):
        return f"POST {_PATH} with model {model!r}: {said(newer)}"
    older = await _ask_with_limit(asker, model, _OLDER)
    if not _is_usable(older):
        return f"POST {_PATH} with model {model!r}: {said(older)}"
    is_ignored = _is_usable(newer)
    heeds_none = is_ignored and replies.heeds_limit(older, prompts.FEW) is False
    how = "the answer is longer" if is_ignored else said(newer)
    more = "; so with max_tokens" if heeds_none else ""
    asker.find(_NEWER, None if heeds_none else False, f"POST {_PATH} with {_NEWER}: {how}{more}")
    await _ask_more(asker, model, _OLDER)
    return None


async def _ask_with_limit(asker: Asker, model: str, field: str) -> Reply:
    return await asker.ask("POST", _PATH, prompts.chat(model, prompts.LONG, **{field: prompts.FEW}))


def _is_usable(reply: Reply) -> bool:
    return replies.is_answered(reply) or replies.is_cut(reply)


async def _ask_more(asker: Asker, model: str, limit_field: str) -> None:
    limit = {limit_field: prompts.ENOUGH}
    await _ask_stream(asker, model, limit)
    for feature, body, judge in (
        ("tools", prompts.chat_with_function(model, limit), replies.calls_function),
        ("json_schema", prompts.chat_with_schema(model, limit), replies.keeps_schema),
        ("data_urls", prompts.chat_with_image(model, limit), replies.accepts),
    ):
        await ask_feature(asker, feature, _PATH, body, judge)


async def _ask_stream(asker: Asker, model: str, limit: Mapping[str, int]) -> None:
    body = prompts.chat(model, prompts.SHORT, **limit)
    reply = await _streamed(asker, body | {"stream_options": {"include_usage": True}})
    if reply is None:
        return
    usage: bool | None = None
    how = f"POST {_PATH} with stream_options: {said(reply)}"
    if replies.names(reply, "stream_options"):
        usage, reply = False, await _streamed(asker, body)
    if reply is None:
        return
    events = replies.stream_of(reply)
    has = replies.has_text(events) if reply.status == 200 else replies.accepts(reply)
    asker.find("streaming", has, f"POST {_PATH} with stream: {stream_said(reply, events)}")
    if has:
        usage = replies.has_usage(events) if usage is None else usage
        asker.find("stream_usage", usage, how)


async def _streamed(asker: Asker, body: dict[str, Any]) -> Reply | None:
    try:
        return await asker.ask("POST", _PATH, body, stream=True)
    except Unreached as error:
        asker.find("streaming", None, f"POST {_PATH} with stream: {error}")
        return None
