"""The context of a response, its history and input, read as a prompt and as rounds of tool calls."""

from collections.abc import Iterable, Sequence

from threadmill_emulator.content.messages import Block, Prompt, seen, seen_by_url
from threadmill_emulator.errors.responses_api import no_call_for_output, no_call_output
from threadmill_emulator.responses.items import Item
from threadmill_emulator.runs.tool_calls import Round, ToolCall
from threadmill_emulator.storage.files import Files
from threadmill_emulator.storage.resources import check_file_ids


def check_outputs(items: Iterable[Item]) -> None:
    """Raises ApiError unless each function call has an output, and each output follows its call."""
    waiting: dict[str, None] = {}
    known: set[str] = set()
    for item in items:
        if item["type"] == "function_call":
            waiting[item["call_id"]] = None
            known.add(item["call_id"])
        elif item["type"] == "function_call_output":
            if item["call_id"] not in known:
                raise no_call_for_output(item["call_id"])
            waiting.pop(item["call_id"], None)
    for call_id in waiting:
        raise no_call_output(call_id)


def check_files(items: Iterable[Item], files: Files, param: str = "input") -> None:
    for number, item in enumerate(items):
        for place, part in enumerate(_parts(item)):
            if id := part.get("file_id"):
                check_file_ids(files, [id], f"{param}[{number}].content[{place}].file_id")


def last_turn(items: Sequence[Item]) -> list[Item]:
    """Returns the items after the assistant's last message."""
    said = [number for number, item in enumerate(items) if item.get("role") == "assistant"]
    return list(items[said[-1] + 1 :] if said else items)


def prompt(items: Sequence[Item], stored: Files, more_files: Iterable[str] = ()) -> Prompt:
    """`more_files`: ids of the files that code_interpreter can read."""
    parts = [part for item in last_turn(items) if item.get("role") == "user" for part in _parts(item)]
    images = [_seen(part, stored) for part in parts if part["type"] == "input_image"]
    files = [_name(part, stored) for part in parts if part["type"] == "input_file"]
    files += [name for id in more_files if (name := stored.name(id)) not in files]
    text = "\n\n".join(part["text"] for part in parts if part["type"] == "input_text" and part["text"])
    return Prompt(text, tuple(images), tuple(files))


def rounds(items: Sequence[Item]) -> list[Round]:
    """Returns the tool calls of the last turn, in rounds. A call after an output starts a new round."""
    found: list[Round] = []
    outputs = {item["call_id"]: _text(item) for item in items if item["type"] == "function_call_output"}
    before = ""
    for item in last_turn(items):
        if item["type"] == "function_call":
            call = ToolCall(item["name"], item["arguments"], item["call_id"], outputs.get(item["call_id"]))
            if before == "function_call":
                found[-1].calls.append(call)
            else:
                found.append(Round(0.0, [call], answered=0.0))
        before = item["type"]
    return found


def text(item: Item) -> str:
    """Returns the text of an item that counts as tokens."""
    if item["type"] == "function_call":
        return str(item["arguments"])
    return _text(item)


def _text(item: Item) -> str:
    if isinstance(output := item.get("output"), str):
        return output
    return "\n\n".join(part["text"] for part in _parts(item) if "text" in part)


def _parts(item: Item) -> list[Block]:
    parts = item.get("content") or item.get("output") or []
    return parts if isinstance(parts, list) else []


def _seen(part: Block, stored: Files) -> str:
    return seen(part["file_id"], stored) if "file_id" in part else seen_by_url(part["image_url"])


def _name(part: Block, stored: Files) -> str:
    if "file_id" in part:
        return stored.name(part["file_id"])
    return str(part.get("filename") or part["file_url"])
