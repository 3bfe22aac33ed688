"""What bytes say: text in whatever encoding, told from the bytes themselves unless a name is given."""

import codecs
import re
import unicodedata
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from charset_normalizer import CharsetMatch, from_bytes

from threadmill.documents.template import BadDocument
from threadmill.errors import ThreadmillError

_BOMS = (  # UTF-32 first: its mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

#: How Japanese mail begins its characters; the bytes of it are good ASCII.
_ISO_2022_JP = (b"\x1b$B", b"\x1b$@")

#: What is guessed among: encodings that texts are met in, not all there are. Those of Latin letters differ in few.
_LATIN = ("cp1252", "cp1250", "cp1254", "cp1257")  # Western Europe first
_USUAL = (
    *("cp950", "big5hkscs", "gb18030", "cp932", "euc_jp", "cp949", "utf_16_le", "utf_16_be"),
    *("cp1251", "cp1253", "cp1255", "cp1256", "koi8_r", "cp874"),
    *_LATIN,
)

#: Letters beyond ASCII of the languages written in them: only one reading of a text has those of one language.
_ALPHABETS = {
    "Croatian, Slovene": "čćđšž",
    "Czech": "áčďéěíňóřšťúůýž",
    "Danish, Norwegian": "æøåéòô",
    "Dutch": "áäèéëíïóöúü",
    "Estonian": "äõöüšž",
    "French": "àâæçèéêëîïôœùûüÿ",
    "German": "äöüßé",
    "Hungarian": "áéíóöőúüű",
    "Icelandic": "áðéíóúýþæö",
    "Italian": "àèéìíîòóùúªº",
    "Latvian": "āčēģīķļņšūž",
    "Lithuanian": "ąčęėįšųūž",
    "Polish": "ąćęłńóśźż",
    "Portuguese": "àáâãçéêíóôõúüªº",
    "Romanian": "ăâîşţ",
    "Slovak": "áäčďéíĺľňóôŕšťúýž",
    "Spanish": "áéíñóúüªº",
    "Swedish, Finnish": "åäöé",
    "Turkish": "çğıöşüâîû\u0307",
}

#: What is written under a name may use more than the name's standard has; browsers read it so too.
_WIDER = {
    "big5": "cp950",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "iso8859-1": "cp1252",
}

#: What no language of these has: a sign within a word, a capital after a small letter, much beyond ASCII in a row.
_TORN = re.compile(
    r"[^\W\d_][\xa1-\xac\xae-\xb6\xb8-\xbf\xd7\xf7ˆ˜‚„“‹›†‡‰•€™]+[^\W\d_]"
    r"|[a-z][À-ÖØ-ÞĂĄĆČĎĐĘĚĹĽŁŃŇŐŔŘŚŠŞŤŢŮŰŹŻŽ]"
    r"|[^\x00-\x7f\xa0]{4}"
)

#: What is no text, by how it begins.
_KINDS = {
    b"%PDF-": "a PDF",
    b"PK\x03\x04": "a ZIP or Office file",
    b"\xd0\xcf\x11\xe0": "an Office file from before 2007 or an Outlook email",
    b"\x1f\x8b": "a gzip file",
    b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image",
}

#: What no text in an old encoding has; \x1a ended files under DOS.
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x19\x1c-\x1f\x7f]")

#: In the first bytes of an HTML or XML file.
_DECLARED = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?\s*([A-Za-z0-9_.:-]+)""")

#: Bytes beyond ASCII below which any guess is luck, and below which one of Latin letters is.
_LEAST_BYTES, _LEAST_LETTERS = 24, 4

_BEYOND_ASCII = bytes(range(0x80, 0x100))

#: By so much less mess the right reading is told from a wrong one.
_LEAST_GAP = 0.08

#: Bytes by which the encoding of a stream is told.
SAMPLE = 1_000_000

_REMEDY = "say which it is with --encoding NAME, or convert it, for example with: iconv -f ENCODING -t UTF-8"


def decode(content: bytes, encoding: str | None = None, *, markup: bool = False, declared: str | None = None) -> str:
    """The text, without a byte order mark. Raises BadDocument.

    `declared`: the encoding that its sender names, used where it fits. `markup`: it may declare its own encoding.
    """
    if declared and _reads(_canonical(declared), content, whole=True):
        encoding = _canonical(declared)
    name = encoding or tell(content, markup=markup)
    try:
        return content.decode(name).removeprefix("\ufeff")
    except UnicodeError as error:
        raise BadDocument(_misfit(name, error, given=encoding is not None)) from None


def opened(path: Path, encoding: str | None = None) -> TextIO:
    """A file to read on as text, its line ends as they are. Raises BadDocument, OSError; reading it, UnicodeError."""
    if encoding is None:
        with path.open("rb") as file:
            head = file.read(SAMPLE)
        encoding = tell(head, whole=len(head) < SAMPLE)
    return path.open(encoding="utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding, newline="")


def known(encoding: str) -> str:
    """The name itself; raises ThreadmillError if no such encoding of text is known."""
    try:
        "".encode(encoding)
    except LookupError:
        raise ThreadmillError(
            f"--encoding {encoding}: there is no such encoding of text; big5, shift_jis, gb18030 and cp1252 are some"
        ) from None
    return encoding


def tell(content: bytes, *, markup: bool = False, whole: bool = True) -> str:
    """The encoding of a text, or of the beginning of one. Raises BadDocument for what is no text, or too unclear."""
    for mark, name in _BOMS:
        if content.startswith(mark):
            return name
    if b"\0" in content:
        return _wide(content, whole)
    if any(start in content for start in _ISO_2022_JP) and _reads("iso2022_jp", content, whole):
        return "iso2022_jp"
    if _reads("utf-8", content, whole):
        return "utf-8"
    declared = _DECLARED.search(content[:1024]) if markup else None
    if declared is not None:
        name = _canonical(declared[1].decode("ascii"))
        if _reads(name, content, whole):
            return name
    return _guess(content, whole)


def _wide(content: bytes, whole: bool) -> str:
    """Bytes with NULs: UTF-16 or UTF-32 without a mark, whose spaces and line ends have them, or no text at all."""
    plain: dict[str, int] = {}
    for name in ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be"):
        with suppress(UnicodeError):
            text = codecs.getincrementaldecoder(name)().decode(content, whole)
            if all(map(_is_written, set(text))):
                plain[name] = sum(character < "\x80" for character in text)
    best = max(plain, key=plain.__getitem__, default="")
    if not plain.get(best) or content.startswith(tuple(_KINDS)):
        raise _no_text(content)
    return best


def _no_text(content: bytes) -> BadDocument:
    kind = next((kind for head, kind in _KINDS.items() if content.startswith(head)), None)
    found = _CONTROL.search(content)
    where = f" (byte 0x{content[found.start()]:02x} at {found.start():,})" if found else ""
    remedy = f"it looks like {kind}: name it so, or leave it out" if kind else "leave it out"
    return BadDocument(f"is not text but binary data{where}; {remedy} (.threadmillignore)")


def _is_written(character: str) -> bool:
    return character in "\t\n\r\f" or unicodedata.category(character) not in ("Cc", "Cn", "Co", "Cs")


def _guess(content: bytes, whole: bool) -> str:
    at = _first_misfit(content)
    if _CONTROL.search(content):
        raise _no_text(content)
    matches = list(from_bytes(_sample(content, at), cp_isolation=list(_USUAL), enable_fallback=False))
    least = min(map(_mess, matches), default=0.0)
    near = {str(match): _encoding(match) for match in matches if _mess(match) - least < _LEAST_GAP}
    likely = [encoding for text, encoding in near.items() if encoding not in _LATIN or _is_latin(text)]
    if len(likely) == 1:
        name = _canonical(likely[0])
        least_bytes = _LEAST_LETTERS if name in _LATIN else _LEAST_BYTES
        beyond = len(content) - len(content.translate(None, _BEYOND_ASCII))
        if beyond >= least_bytes and _reads(name, content, whole):
            return name
    names = [name for each in matches[:4] if not (name := _canonical(_encoding(each))).startswith("utf")]
    if not names or not set(names).isdisjoint(_LATIN):
        names = [*(name for name in _LATIN if _reads(name, content, whole)), *names]
    *others, last = dict.fromkeys(names) or ("unknown",)
    perhaps = f"{', '.join(others)} or {last}" if others else last
    raise BadDocument(
        f"is not UTF-8 text (byte 0x{content[at]:02x} at {at:,}); its encoding may be {perhaps}; {_REMEDY}"
    )


def _sample(content: bytes, at: int) -> bytes:
    """The lines from the one on that says something."""
    start = content.rfind(b"\n", 0, at) + 1
    sample = content[start : start + SAMPLE]
    return sample if len(sample) < SAMPLE else sample[: sample.rfind(b"\n") + 1] or sample


def _is_latin(text: str) -> bool:
    """Whether some language is written so: with its letters, and few of them beyond ASCII."""
    letters = [letter for letter in text.lower() if letter.isalpha()]
    beyond = [letter for letter in letters if letter > "\x7f"]
    is_odd = 3 * len(beyond) > len(letters) or _TORN.search(text)
    return not is_odd and any(set(beyond) <= set(alphabet) for alphabet in _ALPHABETS.values())


def _encoding(match: CharsetMatch) -> str:
    """Of those that read the sample alike; the rest of the file may show a difference."""
    return next((name for name in _LATIN if name in match.could_be_from_charset), match.encoding)


def _mess(match: CharsetMatch) -> float:
    return match.chaos - match.coherence / 2


def _canonical(name: str) -> str:
    """As Python calls it, in its widest form."""
    try:
        name = codecs.lookup(name).name
    except LookupError:
        return name
    return _WIDER.get(name, name)


def _reads(name: str, content: bytes, whole: bool) -> bool:
    try:
        codecs.getincrementaldecoder(name)().decode(content, whole)
    except (LookupError, UnicodeError):
        return False
    return True


def _first_misfit(content: bytes) -> int:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start
    return 0


def _misfit(name: str, error: UnicodeError, *, given: bool) -> str:
    where = f" ({error.reason} at byte {error.start:,})" if isinstance(error, UnicodeDecodeError) else ""
    return f"is not {name} text{where}; {'name another --encoding, or leave it out' if given else _REMEDY}"
