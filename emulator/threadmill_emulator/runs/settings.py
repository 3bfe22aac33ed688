"""The constant fields of assistants, runs and responses, with their defaults."""

from typing import Any

from pydantic import BaseModel

from threadmill_emulator.runs.threads import Assistant
from threadmill_emulator.schemas.chat import CreateCompletion
from threadmill_emulator.schemas.responses import CreateResponse
from threadmill_emulator.schemas.runs import CreateRun

MODEL = "emulator-1"

ASSISTANT_DEFAULTS: dict[str, Any] = {
    "name": None,
    "description": None,
    "model": MODEL,
    "instructions": None,
    "tools": [],
    "tool_resources": {},
    "metadata": {},
    "temperature": 1.0,
    "top_p": 1.0,
    "response_format": "auto",
}


def assistant_settings(**given: Any) -> dict[str, Any]:
    return {**ASSISTANT_DEFAULTS, **{key: value for key, value in given.items() if value is not None}}


def dumped(value: BaseModel | str | None, default: Any) -> Any:
    if value is None:
        return default
    return value if isinstance(value, str) else value.model_dump(exclude_unset=True, by_alias=True)


def run_settings(body: CreateRun, assistant: Assistant) -> dict[str, Any]:
    own = assistant.settings
    instructions = own["instructions"] if body.instructions is None else body.instructions
    parts = [instructions, body.additional_instructions]
    return {
        "model": body.model or own["model"],
        "instructions": "\n".join(part for part in parts if part),
        "tools": own["tools"] if body.tools is None else [dumped(tool, {}) for tool in body.tools],
        "temperature": own["temperature"] if body.temperature is None else body.temperature,
        "top_p": own["top_p"] if body.top_p is None else body.top_p,
        "max_prompt_tokens": body.max_prompt_tokens,
        "max_completion_tokens": body.max_completion_tokens,
        "truncation_strategy": {"type": "auto", "last_messages": None} | dumped(body.truncation_strategy, {}),
        "tool_choice": dumped(body.tool_choice, "auto"),
        "parallel_tool_calls": body.parallel_tool_calls,
        "response_format": dumped(body.response_format, own["response_format"]),
    }


def response_settings(body: CreateResponse) -> dict[str, Any]:
    """Converts the request for a response to the settings of its run."""
    choice = dumped(body.tool_choice, "auto")
    if isinstance(choice, dict) and choice["type"] == "function":
        choice = {"type": "function", "function": {"name": choice["name"]}}
    elif isinstance(choice, dict) and choice["type"] == "allowed_tools":
        choice = choice["mode"]
    return {
        "instructions": body.instructions or "",
        "tools": [_nested(dumped(tool, {})) for tool in body.tools],
        "tool_choice": choice,
        "parallel_tool_calls": body.parallel_tool_calls is not False,
        "response_format": _nested(dumped(body.text.format if body.text else None, {"type": "text"})),
    }


def chat_settings(body: CreateCompletion) -> dict[str, Any]:
    """Converts the request for a chat completion to the settings of its run."""
    choice = dumped(body.tool_choice, "auto")
    if isinstance(choice, dict) and choice["type"] == "allowed_tools":
        choice = choice["allowed_tools"]["mode"]
    return {
        "tools": [dumped(tool, {}) for tool in body.tools or []],
        "tool_choice": choice,
        "parallel_tool_calls": body.parallel_tool_calls is not False,
        "response_format": dumped(body.response_format, {"type": "text"}),
    }


def _nested(flat: dict[str, Any]) -> dict[str, Any]:
    """{"type": "function", "name": "f"} -> {"type": "function", "function": {"name": "f"}}"""
    return {"type": flat["type"], flat["type"]: {key: value for key, value in flat.items() if key != "type"}}
