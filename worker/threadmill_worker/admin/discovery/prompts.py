"""What the prompts of a check ask, in the words of each API. PURE."""

from collections.abc import Mapping
from typing import Any

from threadmill_worker.admin.discovery.replies import ANSWER

#: Limits of tokens: the lowest that OpenAI accepts, and one that lets a model think before a short answer.
FEW, ENOUGH = 16, 400

LONG = "Count from 1 to 60, in digits separated by blanks."
SHORT = "Answer with the word: pong"
_CALL = "What is the weather in Taipei? Find out with the function."
_COLOUR = "Which colour has a clear sky at noon?"
_SEEN = "Which colour is this?"

#: A red square of 32 x 32 pixels. Some models refuse smaller images.
_RED = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAACAAAAAgCAIAAAD8GO2jAAAAJ0lEQVR42u3NsQkAAAjAsP7/tF7hIASyp6lTCQQCgU"
    "AgEAgEgi/BAjLD/C5w/SM9AAAAAElFTkSuQmCC"
)

_FUNCTION: dict[str, Any] = {
    "name": "current_weather",
    "description": "The weather in a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
}
_FORM: dict[str, Any] = {
    "name": "answer",
    "strict": True,
    "schema": {
        "type": "object",
        "properties": {ANSWER: {"type": "string"}},
        "required": [ANSWER],
        "additionalProperties": False,
    },
}


def chat(model: str, prompt: Any, **fields: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": prompt}], **fields}


def chat_with_function(model: str, limit: Mapping[str, int]) -> dict[str, Any]:
    return chat(model, _CALL, tools=[{"type": "function", "function": _FUNCTION}], **limit)


def chat_with_schema(model: str, limit: Mapping[str, int]) -> dict[str, Any]:
    return chat(model, _COLOUR, response_format={"type": "json_schema", "json_schema": _FORM}, **limit)


def chat_with_image(model: str, limit: Mapping[str, int]) -> dict[str, Any]:
    parts = [{"type": "text", "text": _SEEN}, {"type": "image_url", "image_url": {"url": _RED}}]
    return chat(model, parts, **limit)


def response(model: str, prompt: Any, limit: int = FEW, **fields: Any) -> dict[str, Any]:
    return {"model": model, "input": prompt, "max_output_tokens": limit, "store": False, **fields}


def response_with_function(model: str) -> dict[str, Any]:
    return response(model, _CALL, ENOUGH, tools=[{"type": "function", "strict": False, **_FUNCTION}])


def response_with_schema(model: str) -> dict[str, Any]:
    return response(model, _COLOUR, ENOUGH, text={"format": {"type": "json_schema", **_FORM}})


def response_with_image(model: str) -> dict[str, Any]:
    parts = [{"type": "input_text", "text": _SEEN}, {"type": "input_image", "detail": "auto", "image_url": _RED}]
    return response(model, [{"type": "message", "role": "user", "content": parts}], ENOUGH)
