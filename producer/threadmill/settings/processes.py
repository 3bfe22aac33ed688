"""The setting `processes`: how many worker processes one supervisor runs."""

from typing import Final, Literal

#: One process for each core that the supervisor may use.
AUTO: Final = "auto"


def number_or_auto(value: object) -> int | Literal["auto"]:
    """Returns a number of processes, or "auto". Raises ValueError, whose text says what is allowed."""
    if value == AUTO:
        return AUTO
    if isinstance(value, int | str) and not isinstance(value, bool):
        text = str(value).strip()
        if text.isascii() and text.isdigit() and int(text) >= 1:
            return int(text)
    raise ValueError(f'must be a number of at least 1, or "auto", not {value!r:.40}')
