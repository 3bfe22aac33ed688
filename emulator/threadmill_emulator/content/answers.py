"""The default answer: an extractive summary of the input in Markdown, marked as emulated."""

import re
from typing import Any

from threadmill_emulator.content.messages import Prompt
from threadmill_emulator.content.text import word_count

NOTICE = "*Emulated answer: an extract, not a model's work.*"
SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])\s*")


def split_task(text: str) -> tuple[str | None, str]:
    """Splits a prompt into an instruction line and a document; the instruction may be missing (None)."""
    head, blank, rest = text.strip().partition("\n\n")
    if "\n" in head or not blank:
        head, _, rest = text.strip().partition("\n")
    is_one_sentence = len(SENTENCE_END.split(head.strip())) == 1
    ends_like_one = head.rstrip().endswith((":", "：", ".", "。", "?", "？", "!", "！"))
    if rest.strip() and is_one_sentence and ends_like_one and len(head) <= 400 and not head.startswith("#"):
        return head.strip(), rest.strip()
    return None, text.strip()


def title(document: str) -> str:
    """Returns the first heading, or the first line if there is none."""
    lines = [line.strip() for line in document.splitlines() if line.strip()]
    first = next((line for line in lines if re.match(r"#{1,6} ", line)), lines[0] if lines else "")
    return _cut(first.lstrip("# "), 80)


def first_sentences(document: str, count: int = 3) -> str:
    prose = [line.strip() for line in document.splitlines()]
    prose = [line for line in prose if line and not line.startswith(("#", "|", "```", "---"))]
    sentences = [part for line in prose[:20] for part in SENTENCE_END.split(line) if part.strip()]
    joined = " ".join(sentences[:count])
    return _cut(re.sub("(?<=[。！？]) ", "", joined), 600)


def summary(prompt: Prompt) -> dict[str, Any]:
    task, document = split_task(prompt.text)
    return {
        "task": task,
        "title": title(document),
        "extract": first_sentences(document),
        "words": word_count(document),
        "lines": len(document.splitlines()),
        "images": list(prompt.images),
        "files": list(prompt.files),
    }


def answer(prompt: Prompt) -> str:
    """Returns the summary as Markdown."""
    facts = summary(prompt)
    lines = [NOTICE, ""]
    if facts["task"]:
        lines += [f"Task: {_cut(facts['task'], 200)}", ""]
    if facts["title"]:
        lines += [f"## {facts['title']}", "", facts["extract"], ""]
    lines.append(f"- Length: {facts['words']:,} words, {facts['lines']:,} lines")
    if facts["images"]:
        lines.append("- Images: " + "; ".join(facts["images"]))
    if facts["files"]:
        lines.append("- Files: " + ", ".join(facts["files"]))
    return "\n".join(lines)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"
