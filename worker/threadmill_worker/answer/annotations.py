"""Reads content blocks of an answer: their texts, and the files and pages that the texts refer to. PURE.

Servers differ: parts of an unknown form are ignored.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

Block = Mapping[str, object]


@dataclass(frozen=True)
class Note:
    """An annotation: what a passage of the text refers to."""

    kind: Literal["file", "page", "made"]  #: a cited file, a cited page, a file the model made
    id: str  #: the file's id, or the page's URL
    text: str  #: the passage that it replaces; empty if the server does not say
    start: int  #: code points of the original text; -1 if the server sends no number
    end: int
    title: str | None = None  #: of the page, or the file's name; None if the server does not say
    quote: str | None = None

    @property
    def source(self) -> tuple[str, str]:
        """Equal for notes that refer to the same file or page."""
        return self.kind, self.id


@dataclass(frozen=True)
class Place:
    start: int
    end: int
    notes: tuple[Note, ...]


def blocks_of(content: object) -> list[Block]:
    """Returns the blocks of a message's content. Some servers send a string."""
    items = content if isinstance(content, list | tuple) else [content]
    blocks = [{"type": "text", "text": item} if isinstance(item, str) else item for item in items]
    return [block for block in blocks if isinstance(block, Mapping)]


def text_of(block: Block) -> str:
    """Returns the text of a block, or of a refusal, unchanged."""
    text = block.get("text") if block.get("type") == "text" else block.get("refusal")
    return _string(text.get("value") if isinstance(text, Mapping) else text)


def field_of(block: Block, kind: str, name: str) -> str:
    """Returns a field of a block or an annotation. It is under the kind, or on some servers at the top level."""
    inner = block.get(kind)
    return _string((inner if isinstance(inner, Mapping) else block).get(name))


def places_of(block: Block) -> tuple[list[Place], list[Note]]:
    """Returns the places of the notes in the text, in order, and the notes without a place.

    A note whose indices do not match its text gets the first occurrence of its text that no other note has. Notes with
    the same place share it; one that overlaps another place is treated as if its indices were wrong.
    """
    value = text_of(block)
    taken = bytearray(len(value))
    found: dict[tuple[int, int], list[Note]] = {}
    astray: list[Note] = []
    for note in sorted(_notes(block), key=lambda note: (not note.text, note.start)):
        start, end = note.start, note.end
        fits = 0 <= start < end <= len(value) and note.text in ("", value[start:end])
        if fits and ((start, end) in found or 1 not in taken[start:end]):
            found.setdefault((start, end), []).append(note)
            taken[start:end] = b"\1" * (end - start)
        else:
            astray.append(note)
    nowhere: list[Note] = []
    seek: dict[str, int] = {}  # where the search for this text continues
    for note in astray:
        start = value.find(note.text, seek.get(note.text, 0)) if note.text else -1
        while start >= 0 and 1 in taken[start : start + len(note.text)]:
            start = value.find(note.text, start + 1)
        seek[note.text] = start if start >= 0 else len(value)
        if start < 0:
            nowhere.append(note)
        else:
            end = start + len(note.text)
            found[start, end] = [note]
            taken[start:end] = b"\1" * len(note.text)
    return [Place(start, end, tuple(notes)) for (start, end), notes in sorted(found.items())], nowhere


def notes_of(block: Block) -> list[Note]:
    """Returns the notes of a block in the order in which the text uses them."""
    places, nowhere = places_of(block)
    return [note for place in places for note in place.notes] + nowhere


def _notes(block: Block) -> Iterator[Note]:
    text = block.get("text")
    annotations = text.get("annotations") if block.get("type") == "text" and isinstance(text, Mapping) else None
    for annotation in annotations if isinstance(annotations, list | tuple) else ():
        note = _note(annotation) if isinstance(annotation, Mapping) else None
        if note is not None and note.id:
            yield note


def _note(annotation: Block) -> Note | None:
    text = _string(annotation.get("text"))
    start, end = _index(annotation.get("start_index")), _index(annotation.get("end_index"))
    match annotation.get("type"):
        case "file_citation" as kind:
            quote = field_of(annotation, kind, "quote") or None
            file_id = field_of(annotation, kind, "file_id")
            name = field_of(annotation, kind, "filename") or _string(annotation.get("filename"))
            title = name if name != file_id else None
            return Note("file", file_id, text, start, end, title=title or None, quote=quote)
        case "url_citation" as kind:
            title = field_of(annotation, kind, "title") or None
            return Note("page", field_of(annotation, kind, "url"), text, start, end, title=title)
        case "file_path" as kind:
            return Note("made", field_of(annotation, kind, "file_id"), text, start, end)
        case _:
            return None


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""


def _index(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else -1
