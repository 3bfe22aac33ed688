"""Reads the type and the size of an image from its header."""

from collections.abc import Callable

Size = tuple[int, int]


def described(data: bytes, kind: str | None = None) -> str:
    """Returns `image/png, 1,024 bytes, 640 x 480 pixels`; without the size if the header is incomplete. `kind` is used
    if the type cannot be read from the bytes."""
    found = next((known for known in READERS if data.startswith(known[1]) and known[2] in data[:16]), None)
    size = found[3](data) if found else None
    words = [found[0] if found else kind or "unknown type", f"{len(data):,} bytes"]
    return ", ".join(words + ([f"{size[0]} x {size[1]} pixels"] if size else []))


def _png(data: bytes) -> Size | None:
    return _pair(data, 16, 4, "big") if data[12:16] == b"IHDR" else None


def _gif(data: bytes) -> Size | None:
    return _pair(data, 6, 2, "little")


def _jpeg(data: bytes) -> Size | None:
    """The frame header is one of a chain of segments, each with its length."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        if 0xC0 <= data[at + 1] <= 0xCF and data[at + 1] not in (0xC4, 0xC8, 0xCC):
            height, width = _pair(data, at + 5, 2, "big") or (0, 0)
            return width, height
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def _webp(data: bytes) -> Size | None:
    match data[12:16]:
        case b"VP8X":
            size = _pair(data, 24, 3, "little")
            return size and (size[0] + 1, size[1] + 1)
        case b"VP8 ":
            size = _pair(data, 26, 2, "little")
            return size and (size[0] & 0x3FFF, size[1] & 0x3FFF)
        case b"VP8L" if len(data) >= 25:
            bits = int.from_bytes(data[21:25], "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return None


def _pair(data: bytes, at: int, width: int, order: str) -> Size | None:
    if len(data) < at + 2 * width:
        return None
    first, second = data[at : at + width], data[at + width : at + 2 * width]
    if order == "big":
        return int.from_bytes(first, "big"), int.from_bytes(second, "big")
    return int.from_bytes(first, "little"), int.from_bytes(second, "little")


#: Type, first bytes, other bytes among the first sixteen, and the function that reads the size.
READERS: list[tuple[str, bytes, bytes, Callable[[bytes], Size | None]]] = [
    ("image/png", b"\x89PNG", b"", _png),
    ("image/gif", b"GIF8", b"", _gif),
    ("image/jpeg", b"\xff\xd8", b"", _jpeg),
    ("image/webp", b"RIFF", b"WEBP", _webp),
]
