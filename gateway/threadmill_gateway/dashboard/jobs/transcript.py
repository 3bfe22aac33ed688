"""The conversation of a job as a chat: what was asked, with its images and files, and what was answered. PURE."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from threadmill.job.message import ImageFilePart, ImagePart, Message, TextPart, label
from threadmill.job.prompt import PromptJob
from threadmill.job.result import JobResult
from threadmill.store.records.job import JobRecord

#: Images that a page may hold: browsers run no script in them.
_PICTURE = re.compile(r"data:image/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/=\s]*")

#: Characters of images that a page shows, and of a JSON value.
_PICTURES_LIMIT = 4_000_000
_JSON_LIMIT = 20_000


@dataclass(frozen=True)
class Piece:
    """A part of a message: a text, a picture that the page holds, or an image elsewhere, which is only named."""

    text: str = ""
    picture: str = ""  #: a data URL
    image: str = ""  #: a URL, a path or an id


@dataclass(frozen=True)
class Turn:
    role: str  #: "user" or "assistant"
    pieces: tuple[Piece, ...]


def turns_of(job: PromptJob) -> tuple[Turn, ...]:
    """Returns the messages of a job. Images beyond the limit of a page are named, not shown."""
    left = _PICTURES_LIMIT
    turns = []
    for message in job.conversation:
        pieces = tuple(_pieces(message, left))
        left -= sum(len(piece.picture) for piece in pieces)
        turns.append(Turn(message.role, pieces))
    return tuple(turns)


def _pieces(message: Message, limit: int) -> Iterator[Piece]:
    for part in (message.content,) if isinstance(message.content, str) else message.content:
        match part:
            case str():
                yield Piece(text=part)
            case TextPart():
                yield Piece(text=part.text)
            case ImagePart():
                source = part.image_url.url
                fits = len(source) <= limit and _PICTURE.fullmatch(source)
                limit -= len(source) if fits else 0
                yield Piece(picture=source) if fits else Piece(image=label(source))
            case ImageFilePart():
                yield Piece(image=part.image_file.file_id)


def json_text(value: Any) -> str:
    """Returns a JSON value to read, cut if it is long."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    return text if len(text) <= _JSON_LIMIT else f"{text[:_JSON_LIMIT]}\n…"


def answer_of(record: JobRecord) -> JobResult | None:
    """Returns the result if it has something that a model wrote."""
    result = record.result
    return result if result and (result.text or result.files or result.steps or result.parsed is not None) else None
