"""Parses server-sent events from bytes, which can be cut anywhere. PURE, and fast for frames of the usual form.

The format: html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream.
"""

from collections.abc import Iterator
from typing import NamedTuple


class Frame(NamedTuple):
    event: str  #: "" if the server names none
    data: bytes  #: not decoded, because most of it is never read


class TooLong(Exception):
    """A frame exceeds the limit: the server probably sends something else."""


class Frames:
    """The frames of one stream. `limit`: bytes of a frame. A frame that the stream leaves unfinished is dropped."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rest = bytearray()
        self._after_cr = False

    def feed(self, chunk: bytes) -> Iterator[Frame]:
        """Yields the frames that these bytes complete. Raises TooLong."""
        if self._after_cr and chunk:
            chunk = chunk.removeprefix(b"\n")  # a CRLF that was cut
            self._after_cr = False
        if b"\r" in chunk:
            self._after_cr = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        known = max(0, len(self._rest) - 1)  # searched before
        self._rest += chunk
        if self._rest.find(b"\n\n", known) < 0:
            blocks: list[bytearray] = []
        else:
            *blocks, self._rest = self._rest.split(b"\n\n")
        if len(self._rest) > self._limit:
            raise TooLong(f"a frame of more than {self._limit} bytes")
        for block in map(bytes, blocks):
            frame = _usual(block) or _any(block)
            if frame is not None:
                yield frame


def _usual(block: bytes) -> Frame | None:
    """A name and one line of data, as all known servers send them."""
    head, found, data = block.partition(b"\ndata: ")
    if found and head.startswith(b"event: ") and b"\n" not in head and b"\n" not in data:
        return Frame(head[7:].decode("utf-8", "replace"), data)
    return None


def _any(block: bytes) -> Frame | None:
    event, data = "", []
    for line in block.split(b"\n"):
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"event":
            event = value.decode("utf-8", "replace")
        elif name == b"data":
            data.append(value)
    return Frame(event, b"\n".join(data)) if data else None
