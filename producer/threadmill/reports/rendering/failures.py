"""Groups the failures of a report by reason, for its readers. PURE."""

import re

from threadmill.batch.failures import FailureGroup, group_failures
from threadmill.reports.content.report import Report, Section

#: The boundary between two parts of a message.
_BOUNDARY = re.compile(r"(?<=[;.])\s+|\s+(?=\()")
#: Advice about commands, which readers of the page cannot follow.
_ADVICE = re.compile(
    r"(?<!\S)[(`'\"]*--[a-z]|\b(?:pip install|iconv|ocrmypdf|export [A-Z_]+=|threadmill(?:\.toml| [a-z]))"
)


def for_readers(message: str) -> str:
    """Returns the message without advice about commands and options, unless it only has such advice."""
    parts = [part for part in _BOUNDARY.split(message) if not _ADVICE.search(part)]
    return " ".join(parts).rstrip(" ;,.") or message


def reasons(report: Report) -> list[FailureGroup[tuple[int, Section]]]:
    """Returns groups of (number on the page, document), the largest first."""
    return group_failures(
        ((number, section), section.failure.model_copy(update={"message": for_readers(section.failure.message)}))
        for number, section in enumerate(report.sections, 1)
        if section.failure is not None
    )
