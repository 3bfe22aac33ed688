"""Groups of answers for reductions."""

from math import ceil, log2

from hypothesis import given
from hypothesis import strategies as st

from threadmill.reports.content.grouping import group_answers, shorten

LARGEST = 100

sizes_ = st.lists(st.integers(0, LARGEST // 2), min_size=1, max_size=200)


@given(sizes_, st.integers(2, 30))
def test_answers_keep_their_order_and_no_group_is_too_large(sizes, at_most):
    answers = list(enumerate(sizes))

    made = group_answers(answers, sizes, at_most, LARGEST)

    assert [answer for group in made for answer in group] == answers
    assert all(0 < len(group) <= at_most for group in made)
    assert all(sum(size for _, size in group) <= LARGEST for group in made)


@given(sizes_, st.integers(2, 30))
def test_levels_are_few_even_if_answers_stay_long(sizes, at_most):
    levels, left = 0, sizes
    while True:
        levels += 1
        made = group_answers(left, left, at_most, LARGEST)
        if len(made) == 1:
            break
        left = [LARGEST // 2 for _ in made]

    assert levels <= ceil(log2(len(sizes))) + 1


def test_groups_are_even_where_their_size_allows():
    assert [len(group) for group in group_answers(range(21), [1] * 21, 20, LARGEST)] == [11, 10]
    assert group_answers([], [], 20, LARGEST) == []


def test_shortened_text_has_a_note():
    assert shorten("short", 100) == "short"
    assert shorten("x" * 1000, 100) == "x" * 74 + "\n[... of 1,000 characters]"
