"""Where a long text is cut. PURE: the parts, put together, are the text again."""

import re
import unicodedata

#: Ends to cut after, the best first; each is looked for in the second half of what fits.
_ENDS = (
    re.compile(r"\n[ \t\r]*\n\s*"),  # of a paragraph
    re.compile(r"\n"),  # of a line
    re.compile(r"""[.!?…]["'”’)\]]*\s+|[。！？]["'”’」』）]*"""),  # of a sentence
    re.compile(r"\s+"),  # of a word
)

#: Join what stands before and after them to one character.
_JOINERS = "\u200d"


def split(text: str, size: int) -> list[str]:
    """Parts of at most `size` characters: whole paragraphs, else lines, sentences or words, if there are such ends."""
    parts, start = [], 0
    while len(text) - start > size:
        end = _end(text, start, start + size)
        parts.append(text[start:end])
        start = end
    return [*parts, text[start:]]


def _end(text: str, start: int, limit: int) -> int:
    for pattern in _ENDS:
        ends = (match.end() for match in pattern.finditer(text, (start + limit) // 2, limit))
        whole = [end for end in ends if not _belongs(text, end)]
        if whole:
            return whole[-1]
    for end in range(limit, start, -1):
        if not _belongs(text, end):
            return end
    return limit


def _belongs(text: str, at: int) -> bool:
    """Whether the character there is one with that before it."""
    before, after = text[at - 1], text[at]
    return (
        unicodedata.category(after) in ("Mn", "Me", "Mc")
        or before in _JOINERS
        or after in _JOINERS
        or "\U0001f3fb" <= after <= "\U0001f3ff"  # the skin of the emoji before it
        or (before, after) == ("\r", "\n")
        or ("\ud800" <= before <= "\udbff" and "\udc00" <= after <= "\udfff")
    )
