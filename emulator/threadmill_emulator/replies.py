"""What a run says at its end: for each kind of reply, the contents of the messages it adds."""

import json
from collections.abc import Callable, Mapping

from threadmill_emulator.answers import NOTICE, answer, summary
from threadmill_emulator.arguments import fitting
from threadmill_emulator.files import Files
from threadmill_emulator.messages import Block
from threadmill_emulator.runs import Run

CITED = "【4:0†source】"
LINK = "sandbox:/mnt/data/terms.csv"
#: One grey pixel.
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d494844520000000100000001080000000"
    "03a7e9b550000000a49444154789c636800000082008177cd72b60000000049454e44ae426082"
)


def text_block(value: str, *annotations: Block) -> Block:
    return {"type": "text", "text": {"value": value, "annotations": list(annotations)}}


def compose(run: Run, files: Files) -> list[list[Block]]:
    """The messages of a run that ended with an answer, each a list of content blocks."""
    return REPLIES[run.script.reply](run, files)


def _answer(run: Run, files: Files) -> list[list[Block]]:
    wanted = run.settings["response_format"]
    if wanted == "auto" or wanted["type"] == "text":
        return [[text_block(answer(run.prompt))]]
    schema = wanted.get("json_schema", {}).get("schema")
    value = fitting(schema, run.prompt.text) if schema else summary(run.prompt)
    return [[text_block(json.dumps(value, ensure_ascii=False))]]


def _echo(run: Run, files: Files) -> list[list[Block]]:
    return [[text_block(run.prompt.text)]]


def _tool_outputs(run: Run, files: Files) -> list[list[Block]]:
    parts = [NOTICE]
    for call in (call for asked in run.rounds for call in asked.calls):
        parts.append(f"{call.name} answered:\n\n> " + (call.output or "").replace("\n", "\n> "))
    return [[text_block("\n\n".join(parts))]]


def _blocks(run: Run, files: Files) -> list[list[Block]]:
    image = files.add("chart.png", PNG, "assistants_output")
    source = files.add("source.txt", run.prompt.text.encode(), "assistants")
    table = files.add("terms.csv", b"term\n" + run.prompt.text.encode(), "assistants_output")
    text = f"The source says so{CITED}, and again{CITED}. [Download the terms]({LINK})"
    notes = [
        {**_span(text, CITED, 0), "type": "file_citation", "file_citation": {"file_id": source.id}},
        {**_span(text, CITED, 1), "type": "file_citation", "file_citation": {"file_id": source.id}},
        {**_span(text, LINK, 0), "type": "file_path", "file_path": {"file_id": table.id}},
    ]
    picture = {"type": "image_file", "image_file": {"file_id": image.id, "detail": "auto"}}
    return [[text_block(answer(run.prompt)), picture, text_block(text, *notes)]]


def _span(text: str, marker: str, nth: int) -> Block:
    start = -1
    for _ in range(nth + 1):
        start = text.index(marker, start + 1)
    return {"text": marker, "start_index": start, "end_index": start + len(marker)}


def _two_messages(run: Run, files: Files) -> list[list[Block]]:
    return [[text_block("Let me see.")], *_answer(run, files)]


REPLIES: Mapping[str, Callable[[Run, Files], list[list[Block]]]] = {
    "answer": _answer,
    "echo": _echo,
    "tool_outputs": _tool_outputs,
    "blocks": _blocks,
    "two_messages": _two_messages,
    "refusal": lambda run, files: [[{"type": "refusal", "refusal": "I'm sorry, I can't help with that."}]],
    "empty_text": lambda run, files: [[text_block("")]],
    "nothing": lambda run, files: [],
}
