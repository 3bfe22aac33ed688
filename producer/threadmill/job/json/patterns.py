"""Matches the regular expressions of JSON Schemas in linear time (RE2). PURE.

Python's own engine can take hours for one text: with `^(a+)+$` each character doubles the time.
"""

import re
from functools import lru_cache
from typing import Any

import re2

_ESCAPE = re.compile(r"\\(?:u\{(?P<braced>[0-9a-fA-F]+)\}|u(?P<four>[0-9a-fA-F]{4})|.)", re.DOTALL)
_LIMITS = "it may have no lookahead, lookbehind or backreference, and repeats at most 1000 times"

#: Bytes of a compiled pattern; it bounds the time for each character.
_MEMORY = 1 << 20


class BadPattern(ValueError):
    """RE2 cannot match the pattern in linear time."""


@lru_cache(maxsize=256)
def compiled(pattern: str) -> Any:
    """Compiles a pattern in the syntax of ECMA-262. Raises BadPattern."""
    options = re2.Options()
    options.log_errors, options.never_capture, options.max_mem = False, True, _MEMORY
    try:
        return re2.compile(_ESCAPE.sub(_in_re2, pattern), options)
    except re2.error as error:
        reason = error.args[0].decode("utf-8", "replace") if isinstance(error.args[0], bytes) else str(error)
        raise BadPattern(f"{pattern!r} is not a pattern that can be matched ({reason}): {_LIMITS}") from None
    except UnicodeEncodeError:
        raise BadPattern(f"{pattern!r} holds a lone surrogate, half a character") from None


def matches(pattern: str, text: str) -> bool:
    """Whether the pattern matches somewhere in the text. Raises BadPattern."""
    return compiled(pattern).search(text.encode("utf-8", "replace")) is not None


def cost(pattern: str, text: str) -> int:
    """Returns the maximum number of steps of a match; each takes about 2 ns."""
    return int(compiled(pattern).programsize) * len(text)


def _in_re2(escape: re.Match[str]) -> str:
    digits = escape["braced"] or escape["four"]
    return rf"\x{{{digits}}}" if digits else escape[0]
