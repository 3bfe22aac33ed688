"""Draws a sine wave as a PNG, with the standard library only."""

import math
import struct
import zlib
from collections.abc import Sequence

WIDTH, HEIGHT = 480, 300
WHITE, BLACK = 255, 0


def sine_wave(dark: bool = False) -> bytes:
    """Returns two periods of a sine wave, black on white or white on black."""
    paper, ink = (BLACK, WHITE) if dark else (WHITE, BLACK)
    rows = [bytearray([paper]) * WIDTH for _ in range(HEIGHT)]
    for x in range(WIDTH):
        rows[round(HEIGHT * (0.5 - 0.4 * math.sin(4 * math.pi * x / WIDTH)))][x] = ink
    return png(rows)


def png(rows: Sequence[bytes | bytearray]) -> bytes:
    """Encodes rows of grey pixels, one byte each."""
    header = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, 0, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    chunks = ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
