"""PURE: the failures of a report, grouped by reason, as its readers see them."""

import re

from threadmill.batch.failures import FailureGroup, group_failures
from threadmill.reports.report import Report, Section

#: Where one part of a message ends and the next begins.
_BOUNDARY = re.compile(r"(?<=[;.])\s+|\s+(?=\()")
#: Advice to who runs the command; a reader of the page cannot follow it.
_ADVICE = re.compile(
    r"(?<!\S)[(`'\"]*--[a-z]|\b(?:pip install|iconv|ocrmypdf|export [A-Z_]+=|threadmill(?:\.toml| [a-z]))"
)


def for_readers(message: str) -> str:
    """The message without advice about commands and their options; all of it if nothing else is in it."""
    parts = [part for part in _BOUNDARY.split(message) if not _ADVICE.search(part)]
    return " ".join(parts).rstrip(" ;,.") or message


def reasons(report: Report) -> list[FailureGroup[tuple[int, Section]]]:
    """The groups of failures, the largest first; of documents with their numbers on the page."""
    return group_failures(
        ((number, section), section.failure.model_copy(update={"message": for_readers(section.failure.message)}))
        for number, section in enumerate(report.sections, 1)
        if section.failure is not None
    )
