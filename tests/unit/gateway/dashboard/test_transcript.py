"""The conversation of a job: which pictures a page holds, and which links it has."""

import pytest

from threadmill import PromptJob
from threadmill.job.result import Artifact
from threadmill_gateway.dashboard import rendering
from threadmill_gateway.dashboard.jobs.transcript import (
    _PICTURES_LIMIT,
    Piece,
    json_text,
    turns_of,
)

PNG = "data:image/png;base64,iVBORw0KGgo="


def test_a_conversation_has_its_messages_in_order():
    job = PromptJob(
        prompt="And now?", messages=[{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Yes?"}]
    )
    assert [(turn.role, turn.pieces) for turn in turns_of(job)] == [
        ("user", (Piece(text="Hi."),)),
        ("assistant", (Piece(text="Yes?"),)),
        ("user", (Piece(text="And now?"),)),
    ]


@pytest.mark.parametrize(
    "source",
    [
        "https://shop.example/cat.png",
        "cat.png",
        "data:image/svg+xml;base64,PHN2Zz4=",
        "data:image/png,not base64",
        'data:image/png;base64,AAAA" onerror="alert(1)',
    ],
)
def test_an_image_that_a_page_cannot_hold_safely_is_named(source):
    [turn] = turns_of(PromptJob(prompt="What?", images=[source]))
    assert [piece.picture for piece in turn.pieces] == ["", ""]
    assert turn.pieces[1].image.startswith(source[:40])


def test_a_page_holds_pictures_up_to_a_limit():
    big = PNG + "A" * (_PICTURES_LIMIT // 2)
    [turn] = turns_of(PromptJob(prompt="What?", images=[big, PNG, big]))
    assert [bool(piece.picture) for piece in turn.pieces] == [False, True, True, False]


@pytest.mark.parametrize(
    ("url", "is_link"),
    [
        ("https://a.example", True),
        ("HTTP://a.example", True),
        ("javascript:alert(1)", False),
        (" https://a.example", False),
        ("data:text/html,x", False),
        ("//a.example", False),
        (None, False),
    ],
)
def test_only_web_pages_become_links(url, is_link):
    assert rendering.is_link(url) is is_link


def test_only_stored_pictures_are_shown():
    png = Artifact(file_id="f", name="a.png", uri="/x", media_type="image/png")
    assert rendering.is_picture(png)
    assert not rendering.is_picture(png.model_copy(update={"uri": None}))
    assert not rendering.is_picture(png.model_copy(update={"media_type": "image/svg+xml"}))


def test_a_long_value_is_cut():
    assert json_text({"a": ["é"]}) == '{\n  "a": [\n    "é"\n  ]\n}'
    assert json_text("x" * 100_000).endswith("\n…")
