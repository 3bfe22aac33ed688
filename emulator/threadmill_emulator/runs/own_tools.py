"""Answers for which the server uses its own tools: code_interpreter and file_search."""

import math
from typing import Any

from threadmill_emulator.content.answers import NOTICE
from threadmill_emulator.content.messages import Block
from threadmill_emulator.content.output import Output, Sources, span, text_block
from threadmill_emulator.content.plot import sine_wave
from threadmill_emulator.content.search import Hit, best, search
from threadmill_emulator.ids import new_id
from threadmill_emulator.runs.run import Run

FIBONACCI = """\
def fibonacci(count):
    numbers = [0, 1]
    while len(numbers) < count:
        numbers.append(numbers[-1] + numbers[-2])
    return numbers

print(*fibonacci(20), sep=", ")
"""
NUMBERS = "0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610, 987, 1597, 2584, 4181"
SINE = """\
points = [(x, math.sin(x)) for x in (step * 4 * math.pi / 200 for step in range(201))]
plot(points, dark={dark})
save_csv("sine.csv", points)
print("points", len(points))
"""
CSV_LINK = "sandbox:/mnt/data/sine.csv"
RANKING = {"ranker": "default_2024_08_21", "score_threshold": 0.0}


def computed(run: Run, sources: Sources) -> Output:
    text = f"{NOTICE}\n\nThe first 20 Fibonacci numbers, computed with Python:\n\n```\n{NUMBERS}\n```"
    if run.prompt.files:
        text += "\n\nFiles at hand: " + ", ".join(run.prompt.files)
    return Output([[text_block(text)]], [_code(FIBONACCI, NUMBERS)])


def plotted(run: Run, sources: Sources) -> Output:
    dark = "dark" in run.prompt.text.lower()
    table = "x,y\n" + "".join(f"{x:.6f},{math.sin(x):.6f}\n" for x in (step * math.pi / 50 for step in range(201)))
    image_id = sources.made.add("sine.png", sine_wave(dark), "assistants_output").id
    table_id = sources.made.add("sine.csv", table.encode(), "assistants_output").id
    did = "I changed the earlier plot: here it is again" if sources.has_plot else "Here is the plot"
    text = f"{did}, a sine wave on a {'dark' if dark else 'light'} background. [Download the values]({CSV_LINK})"
    note = {**span(text, CSV_LINK), "type": "file_path", "file_path": {"file_id": table_id}}
    picture = {"type": "image_file", "image_file": {"file_id": image_id, "detail": "auto"}}
    return Output([[picture, text_block(text, note)]], [_code(SINE.format(dark=dark), "points 201", image_id)])


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
