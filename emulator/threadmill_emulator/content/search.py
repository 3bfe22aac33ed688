"""Finds the sentences in documents that share the most words with a question."""

from collections.abc import Iterable
from dataclasses import dataclass

from threadmill_emulator.content.answers import SENTENCE_END, frequent_terms
from threadmill_emulator.storage.files import File

LONGEST = 400  #: characters of a sentence that is quoted


@dataclass(frozen=True)
class Hit:
    file: File
    sentence: str
    score: float  #: the share of the question's terms that the sentence holds, 0 to 1


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
    """Chooses the best hit of each of two files, then the best of the others."""
    firsts: dict[str, Hit] = {}
    for hit in hits:
        firsts.setdefault(hit.file.id, hit)
    chosen = list(firsts.values())[:2]
    chosen += [hit for hit in hits if hit not in chosen][: limit - len(chosen)]
    return sorted(chosen, key=lambda hit: -hit.score)


def _terms(text: str) -> frozenset[str]:
    return frozenset(term for term, _ in frequent_terms(text, count=1000))


def _sentences(file: File) -> list[str]:
    """Returns the sentences without headings; none if the file is not text."""
    try:
        text = file.data.decode("utf-16" if file.data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError:
        return []
    lines = [line.strip("|-* \t") for line in text.splitlines() if not line.startswith("#")]
    return [part.strip()[:LONGEST] for line in lines for part in SENTENCE_END.split(line) if part.strip()]
