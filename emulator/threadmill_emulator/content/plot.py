"""Draws a curve as a PNG, with the standard library only."""

import struct
import zlib
from collections.abc import Sequence
from itertools import pairwise

WIDTH, HEIGHT, MARGIN = 480, 300, 30
Colour = tuple[int, int, int]
LIGHT: tuple[Colour, Colour, Colour] = ((255, 255, 255), (160, 160, 160), (20, 90, 200))
DARK: tuple[Colour, Colour, Colour] = ((24, 26, 32), (110, 114, 124), (120, 190, 255))

SINE = """\
points = [(x, round(math.sin(x), 6)) for x in (step * 4 * math.pi / 200 for step in range(201))]
plot(points, dark={dark})
save_csv("sine.csv", points)
print("points", len(points))
print("least", min(y for _, y in points), "greatest", max(y for _, y in points))
"""


def drawn(points: Sequence[tuple[float, float]], dark: bool = False) -> bytes:
    """Draws a line through the points, with axes through zero, scaled to fill the image."""
    paper, axis, ink = DARK if dark else LIGHT
    rows = [bytearray(bytes(paper) * WIDTH) for _ in range(HEIGHT)]

    def dot(x: int, y: int, colour: Colour) -> None:
        rows[y][3 * x : 3 * x + 3] = bytes(colour)

    left, right = min(x for x, _ in points), max(x for x, _ in points)
    low, high = min(y for _, y in points), max(y for _, y in points)

    def place(x: float, y: float) -> tuple[int, int]:
        across = (x - left) / ((right - left) or 1) * (WIDTH - 2 * MARGIN)
        up = (y - low) / ((high - low) or 1) * (HEIGHT - 2 * MARGIN)
        return MARGIN + round(across), HEIGHT - MARGIN - round(up)

    for x in range(MARGIN, WIDTH - MARGIN):
        dot(x, place(left, min(max(0, low), high))[1], axis)
    for y in range(MARGIN, HEIGHT - MARGIN):
        dot(MARGIN, y, axis)
    for (x1, y1), (x2, y2) in pairwise(points):
        (px1, py1), (px2, py2) = place(x1, y1), place(x2, y2)
        steps = max(abs(px2 - px1), abs(py2 - py1), 1)
        for step in range(steps + 1):
            x, y = px1 + (px2 - px1) * step // steps, py1 + (py2 - py1) * step // steps
            for thick in (0, 1):
                dot(x, y + thick, ink)
    return png(WIDTH, rows)


def png(width: int, rows: Sequence[bytes | bytearray]) -> bytes:
    """Encodes rows of 8-bit RGB pixels."""
    header = struct.pack(">IIBBBBB", width, len(rows), 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + bytes(row) for row in rows), 9)
    chunks = ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
