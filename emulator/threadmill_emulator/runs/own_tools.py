"""Answers for which the server uses its own tools: code_interpreter and file_search."""

from typing import Any

from threadmill_emulator.content import interpreter, plot
from threadmill_emulator.content.answers import NOTICE
from threadmill_emulator.content.messages import Block
from threadmill_emulator.content.output import Output, Sources, text_block
from threadmill_emulator.content.search import Hit, best, search
from threadmill_emulator.ids import new_id
from threadmill_emulator.runs.run import Run

CSV_LINK = "sandbox:/mnt/data/sine.csv"
RANKING = {"ranker": "default_2024_08_21", "score_threshold": 0.0}


def computed(run: Run, sources: Sources) -> Output:
    what, source = interpreter.program(run.prompt.text)
    logs = interpreter.run(source)
    text = f"{NOTICE}\n\n{what}, computed with Python:\n\n```\n{logs}\n```"
    if run.prompt.files:
        text += "\n\nFiles at hand: " + ", ".join(run.prompt.files)
    return Output([[text_block(text)]], [_code(source, logs)])


def plotted(run: Run, sources: Sources) -> Output:
    dark = "dark" in run.prompt.text.lower() or "深色" in run.prompt.text
    made: dict[str, str] = {}

    def draw(points: list[tuple[float, float]], dark: bool) -> None:
        made["image"] = sources.made.add("sine.png", plot.drawn(points, dark), "assistants_output").id

    def save_csv(name: str, points: list[tuple[float, float]]) -> None:
        table = "x,y\n" + "".join(f"{x:.6f},{y:.6f}\n" for x, y in points)
        made["table"] = sources.made.add(name, table.encode(), "assistants_output").id

    source = plot.SINE.format(dark=dark)
    logs = interpreter.run(source, plot=draw, save_csv=save_csv)
    did = "I changed the earlier plot: here it is again" if sources.has_plot else "Here is the plot"
    text = f"{did}, a sine wave on a {'dark' if dark else 'light'} background. [Download the values]({CSV_LINK})"
    start = text.index(CSV_LINK)
    note = {
        "type": "file_path",
        "text": CSV_LINK,
        "start_index": start,
        "end_index": start + len(CSV_LINK),
        "file_path": {"file_id": made["table"]},
    }
    picture = {"type": "image_file", "image_file": {"file_id": made["image"], "detail": "auto"}}
    return Output([[picture, text_block(text, note)]], [_code(source, logs, made["image"])])


def cited(run: Run, sources: Sources) -> Output:
    if not sources.documents:
        return Output([[text_block(f"{NOTICE}\n\nThere are no files to search: no vector store holds any.")]])
    hits = search(run.prompt.text, sources.documents)
    call = {"id": new_id("call"), "type": "file_search", "file_search": _searched(run, hits)}
    if not hits:
        names = ", ".join(file.name for file in sources.documents)
        return Output([[text_block(f"{NOTICE}\n\nI searched {names} and found nothing about that.")]], [call])
    text, notes = f"{NOTICE}\n\nThis is what the files say:\n", list[Block]()
    for number, hit in enumerate(best(hits)):
        marker = f"【4:{number}†source】"
        text += f"\n- {hit.sentence}"
        note = {"type": "file_citation", "text": marker, "start_index": len(text), "end_index": len(text + marker)}
        notes.append({**note, "file_citation": {"file_id": hit.file.id}})
        text += marker
    return Output([[text_block(text, *notes)]], [call])


def _code(source: str, logs: str, image_id: str | None = None) -> Block:
    outputs: list[Block] = [{"type": "logs", "logs": logs}]
    if image_id:
        outputs.append({"type": "image", "image": {"file_id": image_id}})
    return {
        "id": new_id("call"),
        "type": "code_interpreter",
        "code_interpreter": {"input": source, "outputs": outputs},
    }


def _searched(run: Run, hits: list[Hit]) -> dict[str, Any]:
    declared = [tool for tool in run.settings["tools"] if tool["type"] == "file_search"]
    settings = declared[0].get("file_search") or {} if declared else {}
    results = [
        {
            "file_id": hit.file.id,
            "file_name": hit.file.name,
            "score": hit.score,
            "content": [{"type": "text", "text": hit.sentence}],
        }
        for hit in hits[: settings.get("max_num_results") or 20]
    ]
    return {"ranking_options": RANKING | (settings.get("ranking_options") or {}), "results": results}
