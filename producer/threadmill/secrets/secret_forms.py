"""Finds a secret in a text: unchanged, escaped (Python, JSON, URL, HTML) or in Base64. PURE."""

import base64
import html
import re
from collections.abc import Iterator
from itertools import groupby
from typing import NamedTuple

#: Characters that no escaping changes.
_UNCHANGED = re.compile(r"[\w.~-]+", re.ASCII)

#: Backslashes before an escaped character; several if the text was escaped several times.
_MOST = 8
_BACKSLASHES = rf"\\{{0,{_MOST}}}+"

_LETTERS = {"\n": "n", "\r": "r", "\t": "t", "\b": "b", "\f": "f", "\v": "v", "\0": "0"}


class Form(NamedTuple):
    """One form of a secret. A text with a match of `pattern` contains `anchor`, which is faster to find."""

    anchor: str
    pattern: re.Pattern[str]


def forms_of(secret: str) -> Iterator[Form]:
    """Returns all forms of a secret. Alternatives of a pattern never match the same text, to avoid slow matching."""
    runs = [(kind, "".join(run)) for kind, run in groupby(secret, _kind)]
    pattern = "".join(_run(kind, run) for kind, run in runs)
    yield Form(max(_UNCHANGED.findall(secret), key=len, default=""), re.compile(pattern))
    data = _bytes(secret)
    encoded = {
        encode(b"\0" * offset + data)[(0, 2, 3)[offset] : (offset + len(data)) * 8 // 6].decode()
        for encode in (base64.b64encode, base64.urlsafe_b64encode)
        for offset in range(3)  # the text before the secret shifts its bits
    }
    for form in sorted(encoded):
        yield Form(form, re.compile(re.escape(form)))


def _kind(char: str) -> str:
    return "space" if char.isspace() else "backslash" if char == "\\" else "other"


def _run(kind: str, run: str) -> str:
    """Returns a pattern for the escaped forms of a run of characters."""
    if kind == "space":  # logs replace any number of spaces by one
        return rf"(?:\s|{'|'.join(_escapes(char) for char in sorted(set(run)))}){{1,64}}"
    if kind == "backslash":
        return rf"(?:\\{{{len(run)},{len(run) * _MOST}}}+|(?i:(?:%(?:25)*5c|{_BACKSLASHES}x5c){{{len(run)}}}))"
    return "".join(map(_spellings, run))


def _spellings(char: str) -> str:
    if _UNCHANGED.fullmatch(char):
        return re.escape(char)
    return f"(?:{_BACKSLASHES}{re.escape(char)}|{_escapes(char)})"


def _escapes(char: str) -> str:
    """Returns how Python, JSON, URLs and HTML escape a character."""
    code, data = ord(char), _bytes(char)
    units = char.encode("utf-16-be", "surrogatepass")
    escapes = {
        "".join(f"%(?:25)*{byte:02x}" for byte in data),
        "".join(f"{_BACKSLASHES}x{byte:02x}" for byte in data),
        "".join(f"{_BACKSLASHES}u{units[place : place + 2].hex()}" for place in range(0, len(units), 2)),
        f"{_BACKSLASHES}U{code:08x}",
        f"&#(?:0*{code}|x0*{code:x});",
    }
    if code < 256:
        escapes.add(f"{_BACKSLASHES}x{code:02x}")
    if char in _LETTERS:
        escapes.add(f"{_BACKSLASHES}{_LETTERS[char]}")
    if char in "&<>\"'":
        escapes.add(html.escape(char))
    if char == " ":
        escapes.add(r"\+")
    return f"(?i:{'|'.join(sorted(escapes))})"


def _bytes(text: str) -> bytes:
    """Encodes in UTF-8. An environment variable may hold other bytes."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
