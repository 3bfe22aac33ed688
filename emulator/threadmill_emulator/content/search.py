"""Finds the sentences in documents that share the most words with a question."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from threadmill_emulator.content.answers import SENTENCE_END
from threadmill_emulator.content.text import CJK, words
from threadmill_emulator.storage.files import File

LONGEST = 400  #: characters of a sentence that is quoted
STOP_WORDS = {"does", "from", "have", "many", "much", "that", "this", "what", "when", "where", "which", "with"}


@dataclass(frozen=True)
class Hit:
    file: File
    sentence: str
    score: float  #: the share of the question's terms that the sentence contains, 0 to 1


def search(question: str, files: Iterable[File], limit: int = 20) -> list[Hit]:
    """Returns the best hits first; equal hits in the order of the files."""
    terms = _terms(question)
    hits = [
        Hit(file, sentence, round(len(shared) / len(terms), 4))
        for file in files
        for sentence in _sentences(file)
        if (shared := terms & _terms(sentence))
    ]
    return sorted(hits, key=lambda hit: -hit.score)[:limit]


def best(hits: list[Hit], limit: int = 3) -> list[Hit]:
    """Chooses the best hit of each file, then the best of the others."""
    firsts: dict[str, Hit] = {}
    for hit in hits:
        firsts.setdefault(hit.file.id, hit)
    return [*firsts.values(), *(hit for hit in hits if hit not in firsts.values())][:limit]


def _terms(text: str) -> set[str]:
    """Returns the words of four letters or more, and the pairs of neighbouring CJK characters."""
    found = {word for word in map(str.lower, words(text)) if len(word) > 3} - STOP_WORDS
    for run in re.findall(f"(?:{CJK.pattern})+", text):
        found.update(run[at : at + 2] for at in range(len(run) - 1))
    return found


def _sentences(file: File) -> list[str]:
    """Returns the sentences without headings; none if the file is not text."""
    try:
        text = file.data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return []
    lines = [line.strip("|-* \t") for line in text.splitlines() if not line.startswith("#")]
    return [part.strip()[:LONGEST] for line in lines for part in SENTENCE_END.split(line) if part.strip()]
