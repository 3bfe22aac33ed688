"""Decodes text files with the encoding that is given, declared or certain, and refuses those where none is."""

import codecs
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from charset_normalizer import CharsetMatch, from_bytes

from threadmill.documents.errors import BadDocument
from threadmill.errors import ThreadmillError

_BYTE_ORDER_MARKS = (  # UTF-32 first: its mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

#: Encodings of Latin letters. They differ in few letters, so a text is certain only if it reads the same in all.
_LATIN = ("cp1252", "cp1250", "cp1254", "cp1257")

_EAST_ASIAN = ("cp950", "big5hkscs", "gb18030", "cp932", "euc_jp", "cp949")
_OTHER_ALPHABETS = ("cp1251", "koi8_r", "iso8859_5", "cp866", "cp1253", "cp1255", "cp1256", "cp874")

#: Encodings with NUL or escape characters, by which a text of any length is recognised.
_WITH_ESCAPES = ("iso2022_jp", "utf_16_le", "utf_16_be", "utf_32_le", "utf_32_be")
_ESCAPES = re.compile(rb"\0|\x1b\$")

#: The encodings to detect, and for each the bytes outside ASCII that a text needs for a reliable result.
_CANDIDATES = {
    **dict.fromkeys(_LATIN, 4),
    **dict.fromkeys((*_EAST_ASIAN, *_OTHER_ALPHABETS), 24),
    **dict.fromkeys(_WITH_ESCAPES, 0),
}

#: Supersets to read in place of an encoding: files often use more than their declared encoding has.
_SUPERSETS = {
    "big5": "cp950",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "iso8859-1": "cp1252",
}

#: Control characters that text does not contain; DOS ended files with \x1a.
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x19\x1c-\x1f\x7f]")

#: The declaration in the first bytes of an HTML or XML file.
_DECLARATION = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?\s*([A-Za-z0-9_.:-]+)""")

#: The best reading is certain if the next one is worse by this much, in the measure of `_mess`.
_CLEAR_LEAD = 0.08

#: The most candidates that a message lists.
_LISTED = 5

#: The bytes at the start of a stream from which its encoding is detected.
SAMPLE_BYTES = 1_000_000

_REMEDY = "say which it is with --encoding NAME, or convert it, for example with: iconv -f ENCODING -t UTF-8"


def decode(content: bytes, encoding: str | None = None, *, markup: bool = False, declared: str | None = None) -> str:
    """Returns the text without a byte order mark. Raises BadDocument if the encoding is wrong or not certain.

    `declared` is the encoding named by the sender, used if it fits. With `markup`, the content may declare its own.
    """
    if declared and _reads(_superset(declared), content):
        encoding = _superset(declared)
    name = encoding or detect(content, markup=markup)
    try:
        return content.decode(name).removeprefix("\ufeff")
    except UnicodeError as error:
        where = f" ({error.reason} at byte {error.start:,})" if isinstance(error, UnicodeDecodeError) else ""
        remedy = "name another --encoding, or leave it out" if encoding is not None else _REMEDY
        raise BadDocument(f"is not {name} text{where}; {remedy}") from None


def open_text(path: Path, encoding: str | None = None) -> TextIO:
    """Opens a file as text and keeps its line ends. Raises BadDocument and OSError; reading raises UnicodeError."""
    if encoding is None:
        with path.open("rb") as file:
            head = file.read(SAMPLE_BYTES)
        encoding = detect(head, whole=len(head) < SAMPLE_BYTES)
    return path.open(encoding="utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding, newline="")


def check_encoding(encoding: str) -> str:
    """Returns the name. Raises ThreadmillError if Python has no such text encoding."""
    try:
        "".encode(encoding)
    except LookupError:
        raise ThreadmillError(
            f"--encoding {encoding}: there is no such encoding of text; big5, shift_jis, gb18030 and cp1252 are some"
        ) from None
    return encoding


def detect(content: bytes, *, markup: bool = False, whole: bool = True) -> str:
    """Returns the encoding of a text, or of its start if not `whole`.

    Raises BadDocument for binary data, and for a text whose encoding is not certain.
    """
    for mark, name in _BYTE_ORDER_MARKS:
        if content.startswith(mark):
            return name
    if not _ESCAPES.search(content) and _reads("utf-8", content, whole):
        return "utf-8"
    declaration = _DECLARATION.search(content[:1024]) if markup else None
    if declaration is not None:
        name = _superset(declaration[1].decode("ascii"))
        if _reads(name, content, whole):
            return name
    matches = sorted(from_bytes(_sample(content), cp_isolation=list(_CANDIDATES), enable_fallback=False), key=_mess)
    is_clear = len(matches) == 1 or (matches and _mess(matches[1]) - _mess(matches[0]) >= _CLEAR_LEAD)
    if is_clear and _is_certain(matches[0], content, whole):
        return _superset(_encoding(matches[0]))
    raise _refusal(content, matches)


def _sample(content: bytes) -> bytes:
    """Returns the lines from the first one that is not UTF-8; all of UTF-16 and UTF-32, whose lines end differently."""
    if _ESCAPES.search(content):
        return content[:SAMPLE_BYTES]
    first = content.rfind(b"\n", 0, _first_error_in_utf8(content)) + 1
    sample = content[first : first + SAMPLE_BYTES]
    return sample if len(sample) < SAMPLE_BYTES else sample[: sample.rfind(b"\n") + 1] or sample


def _mess(match: CharsetMatch) -> float:
    return match.chaos - match.coherence / 2


def _encoding(match: CharsetMatch) -> str:
    """Returns the encoding of a match: the Western European one where several read the sample the same."""
    return next((name for name in _LATIN if name in match.could_be_from_charset), match.encoding)


def _is_certain(match: CharsetMatch, content: bytes, whole: bool) -> bool:
    """Whether the content has enough bytes to tell, and decodes to assigned characters."""
    name = _encoding(match)
    if name in _LATIN and not set(_LATIN).issubset(match.could_be_from_charset):
        return False
    if sum(byte >= 0x80 for byte in content) < _CANDIDATES[name]:
        return False
    try:
        text = codecs.getincrementaldecoder(_superset(name))().decode(content, whole)
    except UnicodeError:
        return False
    return all(map(_is_assigned, set(text)))


def _is_assigned(character: str) -> bool:
    return character in "\t\n\r\f\x1a" or unicodedata.category(character) not in ("Cc", "Cn", "Co", "Cs")


def _refusal(content: bytes, matches: Sequence[CharsetMatch]) -> BadDocument:
    """The error for binary data, or for a text with several possible encodings."""
    if found := _CONTROL.search(content):
        where = f"byte 0x{content[found.start()]:02x} at {found.start():,}"
        return BadDocument(f"is not text but binary data ({where}); leave it out (.threadmillignore)")
    possible = (name for match in matches for name in (_encoding(match), *match.could_be_from_charset))
    names = dict.fromkeys(map(_superset, possible))
    *rest, last = list(names)[:_LISTED] or ["unknown"]
    candidates = f"{', '.join(rest)} or {last}" if rest else last
    start = _first_error_in_utf8(content)
    where = f"byte 0x{content[start]:02x} at {start:,}"
    return BadDocument(f"is not UTF-8 text ({where}); its encoding may be {candidates}; {_REMEDY}")


def _superset(name: str) -> str:
    """Returns Python's name of the encoding to read in place of `name`."""
    try:
        name = codecs.lookup(name).name
    except LookupError:
        return name
    return _SUPERSETS.get(name, name)


def _reads(name: str, content: bytes, whole: bool = True) -> bool:
    try:
        codecs.getincrementaldecoder(name)().decode(content, whole)
    except (LookupError, UnicodeError):
        return False
    return True


def _first_error_in_utf8(content: bytes) -> int:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start
    return 0
