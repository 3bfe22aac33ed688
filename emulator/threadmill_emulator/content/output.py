"""What a reply is made of, and what it may be made from."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from threadmill_emulator.content.messages import Block
from threadmill_emulator.storage.files import File, Files


@dataclass(frozen=True)
class Sources:
    files: Files  #: those that were uploaded
    made: Files  #: where a reply puts the files it makes
    documents: Sequence[File] = ()  #: what file_search finds on the thread and with the assistant
    has_plot: bool = False  #: whether an earlier answer on the thread holds a picture
    heard: Sequence[str] = ()  #: the text of each message of the thread so far, scenario markers included


@dataclass(frozen=True)
class Output:
    contents: list[list[Block]]  #: one list of blocks for each message
    calls: list[Block] = field(default_factory=list)  #: tool calls of the server's own
    reasoning: str | None = None  #: what a reasoning model tells of its thinking; only responses show it


def text_block(value: str, *annotations: Block) -> Block:
    return {"type": "text", "text": {"value": value, "annotations": list(annotations)}}
