"""Checks that single servers make, where OpenAI makes none."""

from collections.abc import Iterator, Sequence

from threadmill_emulator.chat.history import last_turn
from threadmill_emulator.errors.api_error import unknown_parameter
from threadmill_emulator.errors.chat_api import no_auto_tools, no_image_url, no_images, no_signature
from threadmill_emulator.schemas.chat import AssistantMessage, CreateCompletion, ImageUrlPart, Message, UserMessage


def check(body: CreateCompletion, quirks: frozenset[str]) -> None:
    """Raises ApiError for the first error. `quirks`: those of the server."""
    if "no_auto_tools" in quirks and body.tools and body.tool_choice in (None, "auto"):
        raise no_auto_tools()
    for url in _images(body.messages):
        if "no_images" in quirks:
            raise no_images()
        if "no_image_urls" in quirks and not url.startswith("data:"):
            raise no_image_url()
    if "thought_signatures" in quirks:
        _check_signatures(last_turn(body.messages))
    elif "ignores_unknown_fields" not in quirks:
        _check_no_extras(body.messages)


def _images(messages: Sequence[Message]) -> Iterator[str]:
    for message in messages:
        if isinstance(message, UserMessage) and isinstance(message.content, list):
            yield from (part.image_url.url for part in message.content if isinstance(part, ImageUrlPart))


def _check_signatures(turn: Sequence[Message]) -> None:
    """The first call of each message needs its signature; calls of earlier turns do not."""
    for message in turn:
        if isinstance(message, AssistantMessage) and message.tool_calls and not message.tool_calls[0].signature:
            raise no_signature()


def _check_no_extras(messages: Sequence[Message]) -> None:
    for number, message in enumerate(messages):
        calls = message.tool_calls or [] if isinstance(message, AssistantMessage) else []
        for place, call in enumerate(calls):
            if call.extra_content is not None:
                raise unknown_parameter(f"messages[{number}].tool_calls[{place}].extra_content")
