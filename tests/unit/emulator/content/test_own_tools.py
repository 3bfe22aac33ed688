"""What the answers of the server's own tools consist of."""

import zlib

import pytest

from threadmill_emulator.content.images import described
from threadmill_emulator.content.plot import sine_wave
from threadmill_emulator.content.search import best, search
from threadmill_emulator.runs.own_tools import FIBONACCI, NUMBERS
from threadmill_emulator.storage.files import File

HERONS = File("herons.txt", b"Herons eat fish. Herons nest in trees. Storks nest on roofs.", "assistants", 0.0)
FROGS = File("frogs.md", "# Frogs\n- Frogs fear herons.\n蒼鷺常常吃青蛙。".encode(), "assistants", 0.0)
PDF = File("herons.pdf", b"%PDF-1.7 \xff\xfe herons", "assistants", 0.0)


def test_the_logs_are_what_the_program_prints(capsys: pytest.CaptureFixture[str]):
    exec(FIBONACCI, {})
    assert capsys.readouterr().out == f"{NUMBERS}\n"


@pytest.mark.parametrize(("dark", "paper"), [(False, 255), (True, 0)])
def test_the_plot_is_a_png_on_its_background(dark: bool, paper: int):
    picture = sine_wave(dark)
    start = picture.index(b"IDAT") + 4
    pixels = zlib.decompress(picture[start:-16])
    assert described(picture).endswith("480 x 300 pixels")
    rows = [pixels[at + 1 : at + 481] for at in range(0, len(pixels), 481)]
    assert (len(rows), rows[0][0], sum(row.count(255 - paper) for row in rows)) == (300, paper, 480)


def test_search_finds_the_sentences_that_share_most_words():
    hits = search("Where do herons nest?", [HERONS, FROGS])
    assert (hits[0].file, hits[0].sentence, hits[0].score) == (HERONS, "Herons nest in trees.", 1.0)
    assert {hit.sentence for hit in hits[1:]} == {"Herons eat fish.", "Storks nest on roofs.", "Frogs fear herons."}
    assert [hit.sentence for hit in search("蒼鷺吃什麼？", [HERONS, FROGS])] == ["蒼鷺常常吃青蛙。"]
    assert search("What is the capital of France?", [HERONS, FROGS]) == []
    assert search("herons", [PDF]) == [], "a file that is not text has no sentences"


def test_the_best_hit_of_each_file_comes_first():
    chosen = best(search("Where do herons nest?", [HERONS, FROGS]))
    assert [hit.file for hit in chosen] == [HERONS, FROGS, HERONS]


@pytest.mark.parametrize(
    ("data", "kind", "shown"),
    [
        (sine_wave()[:24], None, "image/png, 24 bytes, 480 x 300 pixels"),
        (sine_wave()[:23], None, "image/png, 23 bytes"),
        (b"GIF89a", None, "image/gif, 6 bytes"),
        (b"\xff\xd8", "image/png", "image/jpeg, 2 bytes"),
        (b"hello", "image/png", "image/png, 5 bytes"),
        (b"hello", None, "unknown type, 5 bytes"),
    ],
)
def test_an_image_is_described_by_its_first_bytes(data: bytes, kind: str | None, shown: str):
    assert described(data, kind) == shown
