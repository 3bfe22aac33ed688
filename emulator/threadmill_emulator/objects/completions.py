"""The JSON objects of Chat Completions, whole and in the chunks of a stream."""

from collections.abc import Collection

from threadmill_emulator.chat.completion import Completion, Said
from threadmill_emulator.objects.assistants import Object, call_object, seconds
from threadmill_emulator.runs import tiers
from threadmill_emulator.scripting.chat_quirks import REASONING

FINGERPRINT = "fp_emulator1"


def completion_object(completion: Completion) -> Object:
    choice = {"index": 0, "message": message_object(completion), "finish_reason": completion.finish_reason}
    return {
        "id": completion.shown_id or completion.id,
        "object": "chat.completion",
        **_common(completion),
        "choices": [choice if _is_bare(completion) else {**choice, "logprobs": None}],
        "usage": usage_object(completion),
    }


def message_object(completion: Completion) -> Object:
    said, quirks = completion.said, completion.quirks
    field = reasoning_field(quirks)
    content = reasoned_content(said, quirks)
    return {
        "role": "assistant",
        "content": "" if content is None and "empty_content" in quirks else content,
        **({} if _is_bare(completion) else {"refusal": said.refusal, "annotations": []}),
        **({field: said.reasoning} if field and said.reasoning else {}),
        **({"tool_calls": call_objects(said, quirks)} if said.calls else {}),
    }


def call_objects(said: Said, quirks: Collection[str]) -> list[Object]:
    calls = [call_object(call) for call in said.calls]
    if "thought_signatures" in quirks:
        calls[0]["extra_content"] = {"google": {"thought_signature": f"signature of {calls[0]['id']}"}}
    return calls


def reasoned_content(said: Said, quirks: Collection[str]) -> str | None:
    """Returns the content; it begins with the reasoning on servers that show it so."""
    if said.reasoning and "think_tags" in quirks:
        return f"<think>\n{said.reasoning}\n</think>\n\n{said.content or ''}"
    return said.content


def reasoning_field(quirks: Collection[str]) -> str | None:
    """Returns the field that has the reasoning; None: it is not shown."""
    return next((field for quirk, field in REASONING.items() if quirk in quirks), None)


def chunk_object(completion: Completion, choices: list[Object], usage: Object | None = None) -> Object:
    """The choices come first, so that a frame shows what it is."""
    told = {"usage": usage} if completion.asked.tells_usage else {}
    return {
        "choices": choices,
        "id": completion.shown_id or completion.id,
        "object": "chat.completion.chunk",
        **_common(completion),
        **told,
    }


def usage_object(completion: Completion) -> Object | None:
    if completion.usage is None or "no_usage" in completion.run.script.quirks:
        return None
    if _is_bare(completion):
        return {**completion.usage}
    return {
        **completion.usage,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def model_object(id: str, created: float) -> Object:
    return {"id": id, "object": "model", "created": seconds(created), "owned_by": "emulator"}


def _is_bare(completion: Completion) -> bool:
    return "bare_completions" in completion.quirks


def _common(completion: Completion) -> Object:
    common: Object = {"created": seconds(completion.run.created), "model": completion.asked.model}
    if _is_bare(completion):
        return common
    tier = tiers.shown(completion.asked.service_tier, completion.run.script)
    shown = None if "ignores_tiers" in completion.quirks else "default" if tier == "auto" else tier
    return common | {"service_tier": shown, "system_fingerprint": FINGERPRINT}
