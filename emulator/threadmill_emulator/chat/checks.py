"""Checks a request for a chat completion: its messages must follow each other, and its fields must agree."""

import re
from collections.abc import Sequence

from threadmill_emulator.chat import checks_by_server
from threadmill_emulator.chat.history import text
from threadmill_emulator.errors.chat_api import (
    no_calls_before,
    no_content,
    no_max_tokens,
    no_such_function,
    no_word_json,
    not_called,
    one_choice_only,
    only_with_stream,
    only_with_tools,
    two_limits,
    unanswered_calls,
    unsupported,
)
from threadmill_emulator.errors.responses_api import invalid_schema
from threadmill_emulator.runs.tiers import check_tier
from threadmill_emulator.schemas.chat import (
    AssistantMessage,
    CreateCompletion,
    FilePart,
    Message,
    NamedTool,
    ToolMessage,
    UserMessage,
)
from threadmill_emulator.schemas.runs import JsonFormat, JsonSchemaFormat
from threadmill_emulator.schemas.strict_schema import not_strict
from threadmill_emulator.scripting.options import Options
from threadmill_emulator.storage.files import Files
from threadmill_emulator.storage.resources import check_file_ids

#: Reasoning models take max_completion_tokens alone (openai-python, types/chat/completion_create_params.py, for the
#: o-series; github.com/griptape-ai/ComfyUI-Griptape/issues/312 for gpt-5).
REASONING = re.compile(r"o\d|gpt-[5-9]")
#: Fields of the API that the emulator does not imitate.
NOT_IMITATED = ("audio", "function_call", "functions", "moderation", "prediction", "top_logprobs", "web_search_options")


def check(body: CreateCompletion, files: Files, options: Options) -> None:
    """Raises ApiError for the first error."""
    if "unchecked_requests" not in options.extras:
        _check_order(body.messages)
        _check_tools(body)
        _check_limits(body)
        _check_format(body)
        if body.stream_options is not None and not body.stream:
            raise only_with_stream()
    checks_by_server.check(body, options.extras)
    _check_files(body.messages, files)
    if body.n is not None and body.n > 1:
        raise one_choice_only(body.n)
    check_tier(body.service_tier, options)
    for name in NOT_IMITATED:
        if getattr(body, name) is not None:
            raise unsupported(name)
    if body.logprobs:
        raise unsupported("logprobs")


def _check_order(messages: Sequence[Message]) -> None:
    """Each tool message must answer a call of the assistant's message before it, and each call must be answered."""
    calls: list[str] | None = None  #: those of the last message that is no tool message; None: it has none
    waiting: list[str] = []
    for number, message in enumerate(messages):
        if isinstance(message, ToolMessage):
            _check_output(number, message.tool_call_id, calls)
            if message.tool_call_id in waiting:
                waiting.remove(message.tool_call_id)
            continue
        if waiting:
            raise unanswered_calls(number, waiting)
        calls = _calls(number, message)
        waiting = (calls or [])[:]
    if waiting:
        raise unanswered_calls(len(messages), waiting)


def _check_output(number: int, call_id: str, calls: Sequence[str] | None) -> None:
    if calls is None:
        raise no_calls_before(number)
    if call_id not in calls:
        raise not_called(number, call_id)


def _calls(number: int, message: Message) -> list[str] | None:
    """Returns the ids of the calls of a message, or None."""
    if not isinstance(message, AssistantMessage):
        return None
    if message.tool_calls:
        return [call.id for call in message.tool_calls]
    if message.content is None and message.refusal is None:
        raise no_content(number)
    return None


def _check_files(messages: Sequence[Message], files: Files) -> None:
    for number, message in enumerate(messages):
        parts = message.content if isinstance(message, UserMessage) and isinstance(message.content, list) else []
        for place, part in enumerate(parts):
            if isinstance(part, FilePart) and part.file.file_id is not None:
                check_file_ids(files, [part.file.file_id], f"messages[{number}].content[{place}].file.file_id")


def _check_tools(body: CreateCompletion) -> None:
    if not body.tools:
        for name in ("tool_choice", "parallel_tool_calls"):
            if getattr(body, name) is not None:
                raise only_with_tools(name)
    for number, tool in enumerate(body.tools or []):
        function = tool.function
        if function.strict and (wrong := not_strict(function.parameters or {})):
            where = f"tools[{number}].function.parameters"
            raise invalid_schema(f"function '{function.name}'", wrong, where, "invalid_function_parameters")
    match body.tool_choice:
        case NamedTool(function=chosen) if chosen.name not in {tool.function.name for tool in body.tools or []}:
            raise no_such_function(chosen.name)


def _check_limits(body: CreateCompletion) -> None:
    if body.max_tokens is not None and body.max_completion_tokens is not None:
        raise two_limits()
    if body.max_tokens is not None and REASONING.match(body.model):
        raise no_max_tokens()


def _check_format(body: CreateCompletion) -> None:
    match body.response_format:
        case JsonSchemaFormat(json_schema=wanted) if wanted.strict and (wrong := not_strict(wanted.schema_ or {})):
            raise invalid_schema(f"response_format '{wanted.name}'", wrong, "response_format", "invalid_json_schema")
        case JsonFormat() if not any("json" in text(message).lower() for message in body.messages):
            raise no_word_json()
