"""A stream's pieces add up to exactly what the message says."""

import pytest

from threadmill_emulator.content.deltas import assembled, deltas, pieces
from threadmill_emulator.content.output import text_block

TEXTS = [
    "",
    "one",
    "Two words",
    "  both ends \n",
    "蒼鷺是一種大型水鳥。牠吃魚！",
    "mixed 蒼鷺 text\n\n- list 👍🏽",
    " ",
]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("count", [None, 1, 3, 500])
def test_pieces_join_to_the_text(text: str, count: int | None):
    assert "".join(pieces(text, count)) == text


def test_pieces_are_words_up_to_forty():
    assert pieces("Herons eat fish.") == ["Herons", " eat", " fish."]
    assert pieces("蒼鷺吃 fish") == ["蒼", "鷺", "吃", " fish"]
    assert len(pieces("word " * 1000)) == 40


def test_a_number_of_pieces_may_be_asked_for():
    assert len(pieces("word " * 1000, 500)) == 500
    assert len(pieces("abc def", 5)) == 5, "by the character where there are not enough words"
    assert len(pieces("abc", 500)) == 3
    assert len(pieces("a b c d", 2)) == 2


def test_content_of_every_kind_is_streamed_and_reassembled():
    note = {"type": "file_path", "text": "x", "start_index": 0, "end_index": 1, "file_path": {"file_id": "file-1"}}
    picture = {"type": "image_file", "image_file": {"file_id": "file-2", "detail": "auto"}}
    content = [text_block("x and y", note, note), picture, {"type": "refusal", "refusal": "No, I will not."}]
    told = deltas(content)
    assert assembled(told) == content
    assert [part["index"] for part in told] == sorted(part["index"] for part in told)


def test_annotations_come_with_the_last_piece_and_are_numbered():
    note = {"type": "file_path", "text": "x", "start_index": 0, "end_index": 1, "file_path": {"file_id": "file-1"}}
    first, *_, last = deltas([text_block("x and y", note, note)])
    assert first["text"]["annotations"] == []
    assert [each["index"] for each in last["text"]["annotations"]] == [0, 1]
