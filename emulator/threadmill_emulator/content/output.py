"""The output of a run, and the sources that it may use."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from threadmill_emulator.content.messages import Block
from threadmill_emulator.storage.files import File, Files


@dataclass(frozen=True)
class Sources:
    files: Files  #: uploaded files
    made: Files  #: receives the files that the run makes
    documents: Sequence[File] = ()  #: the files that file_search can search
    has_plot: bool = False  #: whether an earlier answer on the thread contains an image
    history: Sequence[str] = ()  #: the text of each earlier message, scenario markers included


@dataclass(frozen=True)
class Output:
    contents: list[list[Block]]  #: one list of blocks for each message
    calls: list[Block] = field(default_factory=list)  #: calls of the server's own tools
    reasoning: str | None = None  #: the reasoning before the answer; shown by responses only


def text_block(value: str, *annotations: Block) -> Block:
    return {"type": "text", "text": {"value": value, "annotations": list(annotations)}}


def span(text: str, marker: str, after: int = -1) -> Block:
    """Returns the text and the position of an annotation at the first `marker` after the position `after`."""
    start = text.index(marker, after + 1)
    return {"text": marker, "start_index": start, "end_index": start + len(marker)}
