"""PURE: how many answers are reduced at a time, level by level, until one is left."""

from collections.abc import Sequence
from math import ceil
from typing import TypeVar

_T = TypeVar("_T")


def groups(answers: Sequence[_T], sizes: Sequence[int], at_most: int, at_most_size: int) -> list[Sequence[_T]]:
    """The answers in order, in groups of `at_most` and of `at_most_size` together; as even as the first limit allows.

    With no size above half of `at_most_size`, each group but the last has two answers or more: so there are
    half as many groups, and few levels.
    """
    if not answers:
        return []
    number = ceil(len(answers) / ceil(len(answers) / at_most))
    made: list[Sequence[_T]] = []
    start = size = 0
    for index, each in enumerate(sizes):
        if index > start and (index - start >= number or size + each > at_most_size):
            made.append(answers[start:index])
            start, size = index, 0
        size += each
    return [*made, answers[start:]]


def cut(text: str, longest: int) -> str:
    """The text, or its beginning with a word on how long it is."""
    if len(text) <= longest:
        return text
    note = f"\n[... of {len(text):,} characters]"
    return text[: longest - len(note)] + note
