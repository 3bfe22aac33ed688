"""What the emulator's own tools find out is true."""

import struct
import zlib

import pytest

from threadmill_emulator.content import interpreter, plot
from threadmill_emulator.content.images import described
from threadmill_emulator.content.search import best, search
from threadmill_emulator.storage.files import File

HERONS = File("herons.txt", b"Herons eat fish. Herons nest in trees. Storks nest on roofs.", "assistants", 0.0)
FROGS = File("frogs.md", "# Frogs\n- Frogs fear herons.\n蒼鷺常常吃青蛙。".encode(), "assistants", 0.0)
PDF = File("herons.pdf", b"%PDF-1.7 \xff\xfe herons", "assistants", 0.0)


def computed(prompt: str) -> str:
    return interpreter.run(interpreter.program(prompt)[1])


def test_the_logs_are_what_the_shown_code_prints():
    assert computed("Print the first 10 Fibonacci numbers") == "0, 1, 1, 2, 3, 5, 8, 13, 21, 34"
    assert computed("fibonacci").endswith("4181"), "twenty, unless a number is named"
    assert computed("the 1st Fibonacci number") == "0"
    assert computed("add 1, 2.5 and -3").splitlines() == [
        "count 3",
        "sum 0.5",
        "mean 0.16666666666666666",
        "least -3",
        "greatest 2.5",
    ]
    assert computed("it's \"quoted\" '''") == "characters 17\nwords 3\nlines 1"


def test_a_prompt_cannot_bring_code_of_its_own():
    assert "__import__" in interpreter.program("'); __import__('os').abort() #")[1]
    assert computed("'); __import__('os').abort() #").startswith("characters 30")


@pytest.mark.parametrize(("dark", "paper"), [(False, plot.LIGHT[0]), (True, plot.DARK[0])])
def test_the_plot_is_a_png_of_its_background(dark: bool, paper: plot.Colour):
    picture = plot.drawn([(0, 0), (1, 1), (2, -1)], dark)
    assert described(picture).startswith("image/png")
    assert described(picture).endswith("480 x 300 pixels")
    start = picture.index(b"IDAT")
    (length,) = struct.unpack(">I", picture[start - 4 : start])
    pixels = zlib.decompress(picture[start + 4 : start + 4 + length])
    assert len(pixels) == 300 * (1 + 3 * 480)
    assert tuple(pixels[1:4]) == paper
    ink = bytes(plot.DARK[2] if dark else plot.LIGHT[2])
    assert pixels.count(ink) > 100


def test_search_finds_the_sentences_that_share_most_words():
    hits = search("Where do herons nest?", [HERONS, FROGS])
    assert (hits[0].file, hits[0].sentence, hits[0].score) == (HERONS, "Herons nest in trees.", 1.0)
    assert {hit.sentence for hit in hits[1:]} == {"Herons eat fish.", "Storks nest on roofs.", "Frogs fear herons."}
    assert [hit.sentence for hit in search("蒼鷺吃什麼？", [HERONS, FROGS])] == ["蒼鷺常常吃青蛙。"]
    assert search("What is the capital of France?", [HERONS, FROGS]) == []
    assert search("herons", [PDF]) == [], "it reads no PDF and says nothing of one"


def test_the_best_of_two_files_come_first():
    chosen = best(search("Where do herons nest?", [HERONS, FROGS]))
    assert [hit.file for hit in chosen].count(HERONS) == 2
    assert FROGS in [hit.file for hit in chosen]


PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 640, 480)
JPEG = b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc2\x00\x11\x08" + struct.pack(">HH", 480, 640) + b"\x03"
WEBP = b"RIFF\0\0\0\0WEBP"
LOSSLESS = (639 | 479 << 14).to_bytes(4, "little")


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (PNG, "image/png"),
        (b"GIF89a" + struct.pack("<HH", 640, 480), "image/gif"),
        (JPEG, "image/jpeg"),
        (WEBP + b"VP8X" + bytes(8) + (639).to_bytes(3, "little") + (479).to_bytes(3, "little"), "image/webp"),
        (WEBP + b"VP8 " + bytes(10) + struct.pack("<HH", 640, 480), "image/webp"),
        (WEBP + b"VP8L" + bytes(4) + b"\x2f" + LOSSLESS, "image/webp"),
    ],
)
def test_the_size_of_a_picture_is_read_from_its_header(data: bytes, kind: str):
    assert described(data) == f"{kind}, {len(data)} bytes, 640 x 480 pixels"
    for cut in range(len(data)):
        assert described(data[:cut]).split(", ")[1] == f"{cut} bytes", "a header cut short is no crash"


def test_bytes_that_are_not_a_picture_keep_their_declared_type():
    assert described(b"hello", "image/png") == "image/png, 5 bytes"
    assert described(b"hello") == "unknown type, 5 bytes"
