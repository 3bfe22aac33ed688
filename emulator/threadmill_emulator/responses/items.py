"""Items of responses and conversations, as stored and as shown to clients."""

import base64
from collections.abc import Collection, Iterable
from typing import Any

from threadmill_emulator.content.messages import Block
from threadmill_emulator.content.output import Output
from threadmill_emulator.ids import new_id
from threadmill_emulator.runs.tool_calls import ToolCall
from threadmill_emulator.schemas.responses import OUTPUTS, RESULTS
from threadmill_emulator.schemas.wire import Body
from threadmill_emulator.storage.files import Files

Item = dict[str, Any]
PREFIXES = {"message": "msg", "function_call": "fc", "function_call_output": "fco", "reasoning": "rs"}
#: Fields that are shown only if `include` names them.
ON_REQUEST = {"code_interpreter_call": ("outputs", OUTPUTS), "file_search_call": ("results", RESULTS)}


def taken(given: str | Iterable[Body] | None) -> list[Item]:
    """Converts input to items as stored: complete messages, each item with an id and a status."""
    if given is None:
        return []
    if isinstance(given, str):
        return [message("user", [{"type": "input_text", "text": given}])]
    return [_taken(body) for body in given]


def _taken(body: Body) -> Item:
    sent = body.model_dump(exclude_none=True)
    item = {"status": "completed", **sent, "id": sent.get("id") or new_id(PREFIXES[sent["type"]])}
    if item["type"] == "message" and isinstance(item["content"], str):
        kind = "output_text" if item["role"] == "assistant" else "input_text"
        item["content"] = [{"type": kind, "text": item["content"]}]
    if item["type"] == "message" and item["role"] == "assistant":
        item["content"] = [{"annotations": [], **part} for part in item["content"]]
    return item


def message(role: str, content: list[Block], status: str = "completed") -> Item:
    return {"id": new_id("msg"), "type": "message", "status": status, "role": role, "content": content}


def function_call(call: ToolCall) -> Item:
    return {
        "id": new_id("fc"),
        "type": "function_call",
        "status": "completed",
        "call_id": call.id,
        "name": call.name,
        "arguments": call.arguments,
    }


def output_items(
    made: Output, uploaded: Files, container_id: str, contained: Files, query: str, status: str
) -> list[Item]:
    """Converts the output of a run to items. `status`: the status of its messages."""
    items = [_reasoning(made.reasoning)] if made.reasoning else []
    for call in made.calls:
        if call["type"] == "code_interpreter":
            items.append(_code_call(call["code_interpreter"], container_id, contained))
        else:
            items.append(_search_call(call["file_search"], query))
    for blocks in made.contents:
        items.append(message("assistant", _parts(blocks, uploaded, container_id, contained), status))
    return items


def shown(item: Item, include: Collection[str] = ()) -> Item:
    field, wanted = ON_REQUEST.get(item["type"], (None, ""))
    return {**item, field: None} if field and wanted not in include else item


def _reasoning(reasoning: str) -> Item:
    return {"id": new_id("rs"), "type": "reasoning", "summary": [{"type": "summary_text", "text": reasoning}]}


def _code_call(call: Block, container_id: str, contained: Files) -> Item:
    outputs = [
        output
        if output["type"] == "logs"
        else {"type": "image", "url": _data_url(contained.get(output["image"]["file_id"]).data)}
        for output in call["outputs"]
    ]
    return {
        "id": new_id("ci"),
        "type": "code_interpreter_call",
        "status": "completed",
        "code": call["input"],
        "container_id": container_id,
        "outputs": outputs,
    }


def _data_url(data: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


def _search_call(call: Block, query: str) -> Item:
    results = [
        {
            "file_id": result["file_id"],
            "filename": result["file_name"],
            "score": result["score"],
            "text": result["content"][0]["text"],
            "attributes": {},
        }
        for result in call["results"]
    ]
    return {
        "id": new_id("fs"),
        "type": "file_search_call",
        "status": "completed",
        "queries": [query],
        "results": results,
    }


def _parts(blocks: list[Block], uploaded: Files, container_id: str, contained: Files) -> list[Block]:
    """Returns the parts of a message. An image is not a part: a text of the message cites it, without a position."""
    parts: list[Block] = []
    pictures: list[Block] = []
    for block in blocks:
        match block["type"]:
            case "image_file":
                pictures.append(_contained(container_id, contained, block["image_file"]["file_id"], 0, 0))
            case "text":
                text, notes = _cited(block["text"], uploaded, container_id, contained)
                parts.append({"type": "output_text", "text": text, "annotations": pictures + notes, "logprobs": []})
                pictures = []
            case _:
                parts.append(block)
    return parts


def _cited(text: Block, uploaded: Files, container_id: str, contained: Files) -> tuple[str, list[Block]]:
    """Returns the text without citation markers: only the position of a citation is kept."""
    value, notes, gone = text["value"], list[Block](), 0
    for note in text["annotations"]:
        start, end = note["start_index"] - gone, note["end_index"] - gone
        if note["type"] == "file_path":
            notes.append(_contained(container_id, contained, note["file_path"]["file_id"], start, end))
            continue
        id = note["file_citation"]["file_id"]
        notes.append({"type": "file_citation", "file_id": id, "filename": uploaded.name(id), "index": start})
        if value[start:end] == note["text"]:
            value, gone = value[:start] + value[end:], gone + end - start
    return value, notes


def _contained(container_id: str, contained: Files, file_id: str, start: int, end: int) -> Block:
    return {
        "type": "container_file_citation",
        "container_id": container_id,
        "file_id": file_id,
        "filename": contained.name(file_id),
        "start_index": start,
        "end_index": end,
    }
