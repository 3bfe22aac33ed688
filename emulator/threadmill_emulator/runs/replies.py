"""The answer of a run: one function for each kind of reply that a script can name."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from threadmill_emulator.content.answers import NOTICE, answer, summary
from threadmill_emulator.content.messages import Block
from threadmill_emulator.content.output import Output, Sources, span, text_block
from threadmill_emulator.content.plot import png
from threadmill_emulator.ids import new_file_id
from threadmill_emulator.runs.own_tools import cited, computed, plotted
from threadmill_emulator.runs.run import Run
from threadmill_emulator.schemas.arguments import fitting
from threadmill_emulator.scripting.markers import without_markers

CITED = "【4:0†source】"
LINK = "sandbox:/mnt/data/terms.csv"
PNG = png([b"\x80"])


def compose(run: Run, sources: Sources) -> Output:
    """Returns everything that a run with an answer produces; the answer may be cut off."""
    made = REPLIES[run.script.reply](run, sources)
    blocks = [block for content in made.contents for block in content if block["type"] == "text"]
    for block in blocks:
        if "bad_annotations" in run.script.quirks:
            _spoil(block["text"]["annotations"])
        if "incomplete" in (run.status, run.script.ends):
            half = len(block["text"]["value"]) // 2
            notes = [note for note in block["text"]["annotations"] if note["end_index"] <= half]
            block["text"] = {"value": block["text"]["value"][:half], "annotations": notes}
    return made


def _spoil(notes: list[Block]) -> None:
    """Spoils citations: wrong indices, a marker without a citation, a file that does not exist."""
    citations = [note for note in notes if note["type"] == "file_citation"]
    if len(citations) > 1:
        notes.remove(citations.pop(1))
    if citations:
        citations[0] |= {"start_index": citations[0]["start_index"] + 7, "end_index": citations[0]["end_index"] + 9}
        citations[-1]["file_citation"] = {"file_id": new_file_id()}


def _answer(run: Run, sources: Sources) -> Output:
    wanted = run.settings["response_format"]
    ignored = {"auto", "text"} | ({"json_schema"} if "ignores_json_schema" in run.script.quirks else set())
    if (wanted if isinstance(wanted, str) else wanted["type"]) in ignored:
        return Output([[text_block(answer(run.prompt))]])
    schema = wanted.get("json_schema", {}).get("schema")
    value = fitting(schema, run.prompt.text) if schema else summary(run.prompt)
    return Output([[text_block(json.dumps(value, ensure_ascii=False))]])


def _echo(run: Run, sources: Sources) -> Output:
    return Output([[text_block(run.prompt.text)]])


def _recalled(run: Run, sources: Sources) -> Output:
    said = (without_markers(text) for text in sources.history if text)
    return Output([[text_block("\n\n".join([NOTICE, *(f"> {text}" for text in said)]))]])


def _tool_outputs(run: Run, sources: Sources) -> Output:
    parts = [NOTICE]
    for call in (call for asked in run.rounds for call in asked.calls):
        parts.append(f"{call.name} answered:\n\n> " + (call.output or "").replace("\n", "\n> "))
    return Output([[text_block("\n\n".join(parts))]])


def _coded(run: Run, sources: Sources) -> Output:
    return (plotted if WANTS_A_PLOT.search(run.prompt.text) else computed)(run, sources)


def _blocks(run: Run, sources: Sources) -> Output:
    image = sources.made.add("chart.png", PNG, "assistants_output")
    source = sources.files.add("source.txt", run.prompt.text.encode(), "assistants")
    table = sources.made.add("terms.csv", b"term\n" + run.prompt.text.encode(), "assistants_output")
    text = f"The source says so{CITED}, and again{CITED}. [Download the terms]({LINK})"
    cited = {"type": "file_citation", "file_citation": {"file_id": source.id}}
    first = span(text, CITED)
    second = span(text, CITED, first["start_index"])
    link = {**span(text, LINK), "type": "file_path", "file_path": {"file_id": table.id}}
    picture = {"type": "image_file", "image_file": {"file_id": image.id, "detail": "auto"}}
    return Output([[text_block(answer(run.prompt)), picture, text_block(text, first | cited, second | cited, link)]])


def _reasoned(run: Run, sources: Sources) -> Output:
    made = _answer(run, sources)
    return replace(made, reasoning=f"I think about {' '.join(run.prompt.text.split())[:80]!r}. This is no answer yet.")


def _two_messages(run: Run, sources: Sources) -> Output:
    return Output([[text_block("Let me see.")], *_answer(run, sources).contents])


#: Words of a prompt that asks for an image.
WANTS_A_PLOT = re.compile(r"plot|chart|draw|visuali[sz]|graph|dark", re.IGNORECASE)

REPLIES: Mapping[str, Callable[[Run, Sources], Output]] = {
    "answer": _answer,
    "echo": _echo,
    "recalled": _recalled,
    "tool_outputs": _tool_outputs,
    "blocks": _blocks,
    "two_messages": _two_messages,
    "reasoned": _reasoned,
    "coded": _coded,
    "computed": computed,
    "plotted": plotted,
    "cited": cited,
    "refusal": lambda run, sources: Output([[{"type": "refusal", "refusal": "I'm sorry, I can't help with that."}]]),
    "empty_text": lambda run, sources: Output([[text_block("")]]),
    "nothing": lambda run, sources: Output([]),
}
