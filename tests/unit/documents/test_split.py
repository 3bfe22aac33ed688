"""Long texts are split without loss, between words if possible."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadmill.documents.split import split

TEXTS = st.text(st.sampled_from("ab .!?\n\r天。\u0301\u200d👍🏽\ud83d\udc4d")) | st.text()


@given(TEXTS, st.integers(1, 40))
def test_the_parts_joined_are_the_text(text, size):
    parts = split(text, size)
    assert "".join(parts) == text
    assert all(len(part) <= size for part in parts)
    assert all(parts) or not text


@given(st.lists(st.text("abc", min_size=1, max_size=8), max_size=30), st.integers(16, 40))
def test_words_that_fit_are_not_split(words, size):
    assert [word for part in split(" ".join(words), size) for word in part.split()] == words


@given(st.lists(st.sampled_from(["é", "👍🏽", "👩\u200d🚀", "\r\n", "\ud83d\udc4d"]), max_size=30))
def test_combined_characters_are_not_split(characters):
    for part in split("".join(characters), 5):
        assert not part.startswith(("\u0301", "🏽", "\u200d", "🚀", "\n", "\udc4d"))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("one two", ["one two"]),
        ("One. Two.\n\nThree. Four.\nFive.", ["One. Two.\n\n", "Three. Four.\n", "Five."]),
        ("One two. Three four five", ["One two. ", "Three four ", "five"]),
        ("今天早上下雨。明天會晴，後天多雲。", ["今天早上下雨。", "明天會晴，後天多雲。"]),
        ("x" * 15, ["x" * 13, "xx"]),
    ],
)
def test_text_is_split_after_paragraphs_lines_sentences_or_words(text, parts):
    assert split(text, 13) == parts
