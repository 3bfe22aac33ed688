"""Splits a long text. PURE: the parts joined are the text again."""

import re
import unicodedata

#: Where to split, in order of preference. Each is searched in the second half of a part.
_ENDS = (
    re.compile(r"\n[ \t\r]*\n\s*"),  # the end of a paragraph
    re.compile(r"\n"),  # the end of a line
    re.compile(r"""[.!?…]["'”’)\]]*\s+|[。！？]["'”’」』）]*"""),  # the end of a sentence
    re.compile(r"\s+"),  # the end of a word
)

#: The zero width joiner, which joins its neighbours into one character.
_JOINERS = "\u200d"


def split(text: str, size: int) -> list[str]:
    """Returns parts of at most `size` characters: whole paragraphs if possible, else lines, sentences or words."""
    parts, start = [], 0
    while len(text) - start > size:
        end = _end(text, start, start + size)
        parts.append(text[start:end])
        start = end
    return [*parts, text[start:]]


def _end(text: str, start: int, limit: int) -> int:
    for pattern in _ENDS:
        ends = (match.end() for match in pattern.finditer(text, (start + limit) // 2, limit))
        allowed = [end for end in ends if not _is_inside_character(text, end)]
        if allowed:
            return allowed[-1]
    for end in range(limit, start, -1):
        if not _is_inside_character(text, end):
            return end
    return limit


def _is_inside_character(text: str, at: int) -> bool:
    """Whether the code points before and after `at` form one character."""
    before, after = text[at - 1], text[at]
    return (
        unicodedata.category(after) in ("Mn", "Me", "Mc")
        or before in _JOINERS
        or after in _JOINERS
        or "\U0001f3fb" <= after <= "\U0001f3ff"  # skin tone of the preceding emoji
        or (before, after) == ("\r", "\n")
        or ("\ud800" <= before <= "\udbff" and "\udc00" <= after <= "\udfff")
    )
