"""The JSON objects of Chat Completions, whole and in the chunks of a stream."""

from threadmill_emulator.chat.completion import Completion
from threadmill_emulator.objects.assistants import Object, call_object, seconds
from threadmill_emulator.runs import tiers

FINGERPRINT = "fp_emulator1"


def completion_object(completion: Completion) -> Object:
    choice = {
        "index": 0,
        "message": message_object(completion),
        "logprobs": None,
        "finish_reason": completion.finish_reason,
    }
    return {
        "id": completion.id,
        "object": "chat.completion",
        **_common(completion),
        "choices": [choice],
        "usage": usage_object(completion),
    }


def message_object(completion: Completion) -> Object:
    said = completion.said
    calls = {"tool_calls": [call_object(call) for call in said.calls]} if said.calls else {}
    return {"role": "assistant", "content": said.content, "refusal": said.refusal, **calls, "annotations": []}


def chunk_object(completion: Completion, choices: list[Object], usage: Object | None = None) -> Object:
    """The choices come first, so that a frame shows what it is."""
    told = {"usage": usage} if completion.asked.tells_usage else {}
    return {
        "choices": choices,
        "id": completion.id,
        "object": "chat.completion.chunk",
        **_common(completion),
        **told,
    }


def usage_object(completion: Completion) -> Object | None:
    if completion.usage is None or "no_usage" in completion.run.script.quirks:
        return None
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


def _common(completion: Completion) -> Object:
    tier = tiers.shown(completion.asked.service_tier, completion.run.script)
    return {
        "created": seconds(completion.run.created),
        "model": completion.asked.model,
        "service_tier": "default" if tier == "auto" else tier,
        "system_fingerprint": FINGERPRINT,
    }
