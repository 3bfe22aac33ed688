"""Answers that are cut off at the limit of their request."""

from hypothesis import given
from hypothesis import strategies as st

from threadmill_emulator.chat.completion import Said, cut
from threadmill_emulator.content.text import tokens


@given(st.text(alphabet="ab 字。", max_size=60), st.integers(1, 30))
def test_as_much_is_left_as_the_limit_allows(text: str, limit: int):
    left = cut(Said(text), limit)
    assert left.content is not None
    assert text.startswith(left.content)
    assert tokens(left.content) <= limit
    assert left.is_cut is (tokens(text) > limit)
    if left.is_cut:
        assert tokens(text[: len(left.content) + 1]) > limit


def test_without_a_limit_or_a_content_nothing_is_cut():
    assert cut(Said("word " * 100), None) == Said("word " * 100)
    assert cut(Said(refusal="No."), 1) == Said(refusal="No.")
