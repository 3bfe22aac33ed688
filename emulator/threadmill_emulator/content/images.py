"""Describes an image by its first bytes."""

import struct

TYPES = {b"\x89PNG": "image/png", b"GIF8": "image/gif", b"\xff\xd8": "image/jpeg", b"RIFF": "image/webp"}


def described(data: bytes, kind: str | None = None) -> str:
    """Returns a text such as `image/png, 1,024 bytes, 640 x 480 pixels`, with the size in pixels only for a PNG.

    `kind`: the type to name if it cannot be read from the bytes.
    """
    found = next((known for start, known in TYPES.items() if data.startswith(start)), kind or "unknown type")
    facts = [found, f"{len(data):,} bytes"]
    if data[12:16] == b"IHDR" and len(data) >= 24:
        facts.append("{} x {} pixels".format(*struct.unpack(">II", data[16:24])))
    return ", ".join(facts)
