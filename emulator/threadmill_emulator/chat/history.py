"""The messages of a request, read as a prompt and as rounds of tool calls."""

from collections.abc import Sequence
from itertools import takewhile

from threadmill_emulator.content.messages import Prompt, seen_by_url
from threadmill_emulator.runs.tool_calls import Round, ToolCall
from threadmill_emulator.schemas.chat import (
    AssistantMessage,
    FilePart,
    ImageUrlPart,
    Message,
    SystemMessage,
    TextPart,
    ToolMessage,
    UserMessage,
)
from threadmill_emulator.storage.files import Files


def text(message: Message) -> str:
    """Returns the texts of a message, without those of its tool calls."""
    if isinstance(message.content, str):
        return message.content
    return "\n\n".join(part.text for part in message.content or [] if isinstance(part, TextPart))


def written(message: Message) -> str:
    """Returns the texts of a message that count as tokens."""
    calls = message.tool_calls or [] if isinstance(message, AssistantMessage) else []
    return text(message) + "".join(call.function.arguments for call in calls)


def last_turn(messages: Sequence[Message]) -> list[Message]:
    """Returns the messages after the assistant's last answer; its messages with tool calls are none."""
    turn = takewhile(lambda message: not _is_answer(message), reversed(messages))
    return list(turn)[::-1]


def prompt(messages: Sequence[Message], stored: Files) -> Prompt:
    asked = [message for message in last_turn(messages) if isinstance(message, UserMessage)]
    parts = [part for message in asked if isinstance(message.content, list) for part in message.content]
    images = [seen_by_url(part.image_url.url) for part in parts if isinstance(part, ImageUrlPart)]
    files = [_name(part, stored) for part in parts if isinstance(part, FilePart)]
    return Prompt("\n\n".join(filter(None, map(text, asked))), tuple(images), tuple(files))


def earlier(messages: Sequence[Message]) -> tuple[str, ...]:
    """Returns the texts of the conversation, without instructions."""
    return tuple(text(message) for message in messages if not isinstance(message, SystemMessage | ToolMessage))


def rounds(messages: Sequence[Message]) -> list[Round]:
    """Returns the tool calls of the last turn, with their outputs: one round for each message with calls."""
    found: list[Round] = []
    for message in last_turn(messages):
        if isinstance(message, AssistantMessage):
            asked = [
                ToolCall(call.function.name, call.function.arguments, call.id) for call in message.tool_calls or []
            ]
            found.append(Round(0.0, asked, answered=0.0))
        elif isinstance(message, ToolMessage):
            # Ids may repeat, so each output goes to the first call with its id that has none.
            calls = found[-1].calls if found else []
            waiting = (call for call in calls if call.id == message.tool_call_id and call.output is None)
            if call := next(waiting, None):
                call.output = text(message)
    return found


def new_outputs(messages: Sequence[Message]) -> list[str]:
    """Returns the ids of the calls whose outputs end the messages; earlier outputs are sent again with each request."""
    ending = takewhile(lambda message: isinstance(message, ToolMessage), reversed(messages))
    return [message.tool_call_id for message in ending if isinstance(message, ToolMessage)]


def _is_answer(message: Message) -> bool:
    return isinstance(message, AssistantMessage) and not message.tool_calls


def _name(part: FilePart, stored: Files) -> str:
    return stored.name(part.file.file_id) if part.file.file_id else part.file.filename or "file"
