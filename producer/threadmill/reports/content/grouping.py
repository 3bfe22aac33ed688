"""Groups answers for reductions, and shortens texts. PURE."""

from collections.abc import Sequence
from math import ceil
from typing import TypeVar

_T = TypeVar("_T")


def group_answers(answers: Sequence[_T], sizes: Sequence[int], at_most: int, at_most_size: int) -> list[Sequence[_T]]:
    """Returns even groups of up to `at_most` answers, in order, with a total size of up to `at_most_size`.

    If no size is above half of `at_most_size`, each group but the last has two answers or more. So each level of
    reductions has at most half as many answers, rounded up.
    """
    if not answers:
        return []
    number = ceil(len(answers) / ceil(len(answers) / at_most))
    groups: list[Sequence[_T]] = []
    start = size = 0
    for index, answer_size in enumerate(sizes):
        if index > start and (index - start >= number or size + answer_size > at_most_size):
            groups.append(answers[start:index])
            start, size = index, 0
        size += answer_size
    return [*groups, answers[start:]]


def shorten(text: str, longest: int) -> str:
    """Returns the text, or its beginning and a note about its length."""
    if len(text) <= longest:
        return text
    note = f"\n[... of {len(text):,} characters]"
    return text[: longest - len(note)] + note
