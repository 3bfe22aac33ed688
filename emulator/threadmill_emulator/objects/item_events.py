"""The stream events of one item of a response."""

from threadmill_emulator.content.deltas import pieces
from threadmill_emulator.content.messages import Block
from threadmill_emulator.objects.assistants import Object
from threadmill_emulator.responses.items import Item

Event = tuple[str, Object]


def events(item: Item, index: int, count: int | None = None) -> list[Event]:
    """`count`: number of deltas of each text; default: one per word, up to 40."""
    begun, between = EVENTS[item["type"]](item, count)
    place = {"output_index": index}
    return [
        ("response.output_item.added", {**place, "item": {**item, **begun, "status": "in_progress"}}),
        *((f"response.{event}", {"item_id": item["id"], **place, **data}) for event, data in between),
        ("response.output_item.done", {**place, "item": item}),
    ]


def _message(item: Item, count: int | None) -> tuple[Item, list[Event]]:
    told: list[Event] = []
    for number, part in enumerate(item["content"]):
        said = _text(part, count) if part["type"] == "output_text" else _refusal(part, count)
        told += [(event, {"content_index": number, **data}) for event, data in said]
    return {"content": []}, told


def _text(part: Block, count: int | None) -> list[Event]:
    empty = {**part, "text": "", "annotations": []}
    return [
        ("content_part.added", {"part": empty}),
        *(("output_text.delta", {"delta": piece, "logprobs": []}) for piece in pieces(part["text"], count)),
        *(
            ("output_text.annotation.added", {"annotation": note, "annotation_index": number})
            for number, note in enumerate(part["annotations"])
        ),
        ("output_text.done", {"text": part["text"], "logprobs": []}),
        ("content_part.done", {"part": part}),
    ]


def _refusal(part: Block, count: int | None) -> list[Event]:
    return [
        ("content_part.added", {"part": {**part, "refusal": ""}}),
        *(("refusal.delta", {"delta": piece}) for piece in pieces(part["refusal"], count)),
        ("refusal.done", {"refusal": part["refusal"]}),
        ("content_part.done", {"part": part}),
    ]


def _function_call(item: Item, count: int | None) -> tuple[Item, list[Event]]:
    return {"arguments": ""}, [
        *(("function_call_arguments.delta", {"delta": piece}) for piece in pieces(item["arguments"], count)),
        ("function_call_arguments.done", {"arguments": item["arguments"], "name": item["name"]}),
    ]


def _code(item: Item, count: int | None) -> tuple[Item, list[Event]]:
    return {"code": "", "outputs": None}, [
        ("code_interpreter_call.in_progress", {}),
        *(("code_interpreter_call_code.delta", {"delta": piece}) for piece in pieces(item["code"], count)),
        ("code_interpreter_call_code.done", {"code": item["code"]}),
        ("code_interpreter_call.interpreting", {}),
        ("code_interpreter_call.completed", {}),
    ]


def _search(item: Item, count: int | None) -> tuple[Item, list[Event]]:
    steps = ("in_progress", "searching", "completed")
    return {"queries": [], "results": None}, [(f"file_search_call.{step}", {}) for step in steps]


def _reasoning(item: Item, count: int | None) -> tuple[Item, list[Event]]:
    told: list[Event] = []
    for number, part in enumerate(item["summary"]):
        said: list[Event] = [
            ("reasoning_summary_part.added", {"part": {**part, "text": ""}}),
            *(("reasoning_summary_text.delta", {"delta": piece}) for piece in pieces(part["text"], count)),
            ("reasoning_summary_text.done", {"text": part["text"]}),
            ("reasoning_summary_part.done", {"part": part}),
        ]
        told += [(event, {"summary_index": number} | data) for event, data in said]
    return {"summary": []}, told


EVENTS = {
    "message": _message,
    "function_call": _function_call,
    "code_interpreter_call": _code,
    "file_search_call": _search,
    "reasoning": _reasoning,
}
