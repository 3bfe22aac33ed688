"""Renders an answer as one text: citations become footnotes, and files that the model made become links. PURE."""

import re
from collections.abc import Mapping
from urllib.parse import quote

from threadmill.job.result import Artifact, Citation
from threadmill_worker.answer.annotations import Block, Note, Place, blocks_of, field_of, notes_of, places_of, text_of

#: The marker of a citation in a text. A marker without an annotation is removed.
_MARKER = re.compile(r"【\d+:\d+†[^【】\n]*】")

#: Characters that end the target of a link in Markdown; in a path, also those with a meaning in a URL.
_NOT_IN_URL = re.compile(r"[\s\x00-\x20\x7f()<>\[\]\"\\]")
_NOT_IN_PATH = re.compile(r"[\s\x00-\x20\x7f()<>\[\]\"\\%?#]")
_NOT_IN_LABEL = re.compile(r"([\\\[\]])")

Numbers = Mapping[tuple[str, str], int]


def compose(
    blocks: object, names: Mapping[str, str], artifacts: Mapping[str, Artifact]
) -> tuple[str, tuple[Citation, ...]]:
    """Returns the answer as text, and its sources. `names` and `artifacts` are keyed by file id.

    Blocks are joined with blank lines; footnotes come last. Each source has one number, in order of first use. The name
    in an annotation takes precedence over `names`.
    """
    content = blocks_of(blocks)
    sources: dict[tuple[str, str], list[Note]] = {}
    for note in (note for block in content for note in notes_of(block) if note.kind != "made"):
        sources.setdefault(note.source, []).append(note)
    numbers = {source: number for number, source in enumerate(sources, 1)}
    citations = tuple(_citation(numbers[source], notes, names) for source, notes in sources.items())
    parts = [_shown(block, numbers, names, artifacts) for block in content]
    parts.append("\n".join(_footnote(citation) for citation in citations))
    return "\n\n".join(part for part in parts if part), citations


def plain(blocks: object) -> str:
    """Returns the text as the model wrote it, with markers. JSON is read from it."""
    return "\n\n".join(text for text in map(text_of, blocks_of(blocks)) if text)


def blank(blocks: object) -> bool:
    """Whether the answer is empty: it has no block, or only text of white space."""
    return not any(block.get("type") != "text" or text_of(block).strip() for block in blocks_of(blocks))


def unnamed_files(blocks: object) -> tuple[str, ...]:
    """Returns the ids of cited files without a name in their annotations, in order of first use."""
    notes = [note for block in blocks_of(blocks) for note in notes_of(block) if note.kind == "file"]
    named = {note.id for note in notes if note.title}
    return tuple(dict.fromkeys(note.id for note in notes if note.id not in named))


def made_files(blocks: object) -> tuple[str, ...]:
    """Returns the ids of the files that the model made, in order of first use."""
    ids: list[str] = []
    for block in blocks_of(blocks):
        ids += [note.id for note in notes_of(block) if note.kind == "made"]
        if block.get("type") == "image_file":
            ids.append(field_of(block, "image_file", "file_id"))
    return tuple(dict.fromkeys(filter(None, ids)))


def _shown(block: Block, numbers: Numbers, names: Mapping[str, str], artifacts: Mapping[str, Artifact]) -> str:
    match block.get("type"):
        case "image_file":
            file_id = field_of(block, "image_file", "file_id")
            return _image(file_id, names, artifacts.get(file_id))
        case "image_url":
            url = field_of(block, "image_url", "url")
            # A data: URL contains the image itself.
            return f"![image]({_link(url, _NOT_IN_URL)})" if url.startswith(("http://", "https://")) else "[image]"
        case "text":
            value, at, pieces = text_of(block), 0, []
            for place in places_of(block)[0]:
                pieces += [_MARKER.sub("", value[at : place.start]), _reference(value, place, numbers, artifacts)]
                at = place.end
            return "".join((*pieces, _MARKER.sub("", value[at:])))
        case _:
            return text_of(block)


def _reference(value: str, place: Place, numbers: Numbers, artifacts: Mapping[str, Artifact]) -> str:
    """Returns the text of a place: a link, or the numbers of its sources, after the passage unless it is a marker."""
    made = [note for note in place.notes if note.kind == "made"]
    uris = [artifact.uri for note in made if (artifact := artifacts.get(note.id)) and artifact.uri]
    if uris:
        text = _link(uris[0], _NOT_IN_PATH)
    elif made or not place.notes[0].text:
        text = _MARKER.sub("", value[place.start : place.end])
    else:
        text = ""
    cited = dict.fromkeys(note.source for note in place.notes if note.kind != "made")
    return text + "".join(f"[{numbers[source]}]" for source in cited)


def _image(file_id: str, names: Mapping[str, str], artifact: Artifact | None) -> str:
    name = _line((artifact.name if artifact else names.get(file_id)) or file_id)
    if artifact is None or not artifact.uri:
        return f"[image: {name}]" if name else "[image]"
    label = _NOT_IN_LABEL.sub(r"\\\1", name)
    return f"![{label}]({_link(artifact.uri, _NOT_IN_PATH)})"


def _citation(number: int, notes: list[Note], names: Mapping[str, str]) -> Citation:
    """`notes`: all notes of one source."""
    source = notes[0]
    title = next((note.title for note in notes if note.title), None)
    if source.kind == "file":
        passage = next((note.quote for note in notes if note.quote), None)
        return Citation(number=number, file_id=source.id, name=title or names.get(source.id), quote=passage)
    return Citation(number=number, name=title, url=source.id)


def _footnote(citation: Citation) -> str:
    source = [citation.name, citation.url] if citation.url else [citation.name or citation.file_id]
    return f"[{citation.number}] {', '.join(_line(part) for part in source if part)}"


def _line(text: str) -> str:
    """Returns the text on one line."""
    return " ".join(text.split())


def _link(target: str, unsafe: re.Pattern[str]) -> str:
    return unsafe.sub(lambda found: quote(found[0]), target)
