"""PURE: the failures of a report, grouped by reason, as its readers see them."""

import re
from dataclasses import dataclass

from threadmill.reports.report import Report, Section

_NUMBER = re.compile(r"\d[\d,.]*")
#: Where one part of a message ends and the next begins.
_BOUNDARY = re.compile(r"(?<=[;.])\s+|\s+(?=\()")
#: Advice to who runs the command; a reader of the page cannot follow it.
_ADVICE = re.compile(
    r"(?<!\S)[(`'\"]*--[a-z]|\b(?:pip install|iconv|ocrmypdf|export [A-Z_]+=|threadmill(?:\.toml| [a-z]))"
)


@dataclass(frozen=True)
class Reason:
    text: str
    documents: tuple[tuple[int, Section], ...]  #: with their numbers on the page


def for_readers(message: str) -> str:
    """The message without advice about commands and their options; all of it if nothing else is in it."""
    parts = [part for part in _BOUNDARY.split(message) if not _ADVICE.search(part)]
    return " ".join(parts).rstrip(" ;,.") or message


def reasons(report: Report) -> tuple[Reason, ...]:
    """The most frequent first. Messages that differ in their numbers alone are one reason."""
    grouped: dict[str, list[tuple[int, Section]]] = {}
    for number, section in enumerate(report.sections, 1):
        if section.failure is not None:
            text = for_readers(section.failure.message)
            grouped.setdefault(_NUMBER.sub("…", text), []).append((number, section))
    made = []
    for pattern, documents in grouped.items():
        texts = {for_readers(section.failure.message) for _, section in documents if section.failure}
        made.append(Reason(texts.pop() if len(texts) == 1 else pattern, tuple(documents)))
    return tuple(sorted(made, key=lambda reason: -len(reason.documents)))
