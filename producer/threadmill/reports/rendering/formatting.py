"""Formats numbers and names for a page. PURE."""

import re
import unicodedata

#: Characters that change the direction of the text around them.
_REORDERING = re.compile("[\u202a-\u202e\u2066-\u2069\u200e\u200f]")
_REPLACEMENT = "\ufffd"


def single_line(text: str) -> str:
    """Returns the text on one line, with visible characters in place of hidden ones."""
    return "".join(_shown(character) for character in " ".join(text.split()))


def _shown(character: str) -> str:
    hidden = unicodedata.category(character) in ("Cc", "Cs") or _REORDERING.match(character)
    return _REPLACEMENT if hidden else character


def count(number: int, one: str = "", many: str | None = None) -> str:
    """Returns `12,345`, or with a noun `1 document`, `12,345 documents`."""
    noun = one if number == 1 else many or f"{one}s"
    return f"{number:,} {noun}" if one else f"{number:,}"


def duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def money(amount: float, currency: str) -> str:
    digits = 2 if amount == 0 or amount >= 1 else 4
    return f"{amount:,.{digits}f} {currency}" if amount == 0 or amount >= 0.0001 else f"under 0.0001 {currency}"
