"""Computes the charts of a page. Lengths are percentages of the width. PURE."""

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from threadmill.reports.content.report import Report, Section
from threadmill.reports.rendering.formatting import count, duration, single_line

_MOST_BARS = 40  #: documents with a bar each; more are shown as a histogram
_BINS = 10
_LONGEST_LABEL = 30  #: columns that fit on a phone; a CJK character takes two


@dataclass(frozen=True)
class Bar:
    """A bar with its label and its value as text."""

    label: str
    figure: str
    share: float  #: of the longest bar, in percent
    failed: bool = False


@dataclass(frozen=True)
class Chart:
    """A bar chart."""

    title: str
    description: str  #: in words, for screen readers
    bars: tuple[Bar, ...]


def charts(report: Report) -> tuple[Chart, ...]:
    """Returns the charts of tokens and of time, without those that only have zeros."""
    measures: tuple[tuple[str, Callable[[Section], float], Callable[[float], str]], ...] = (
        ("Tokens", lambda section: section.usage.total_tokens, lambda value: count(round(value))),
        ("Time", lambda section: section.seconds, duration),
    )
    return tuple(
        _chart(name, report.sections, measure, written)
        for name, measure, written in measures
        if any(measure(section) > 0 for section in report.sections)
    )


def _chart(
    name: str, sections: Sequence[Section], measure: Callable[[Section], float], written: Callable[[float], str]
) -> Chart:
    values = [measure(section) for section in sections]
    description = (
        f"{name} of {count(len(values), 'document')}: {written(sum(values))} together, "
        f"from {written(min(values))} to {written(max(values))}. The table of figures has them all."
    )
    if len(values) > _MOST_BARS:
        return Chart(f"Documents by {name.lower()}", description, _histogram(values, written))
    longest = max(values)
    bars = (
        Bar(
            shortened(f"{number}  {single_line(section.name)}"),
            "failed" if section.failure else written(value),
            100 * value / longest,
            section.failure is not None,
        )
        for number, (section, value) in enumerate(zip(sections, values, strict=True), 1)
    )
    return Chart(f"{name} by document", description, tuple(bars))


def _histogram(values: Sequence[float], written: Callable[[float], str]) -> tuple[Bar, ...]:
    width = max(values) / _BINS
    counts = [0] * _BINS
    for value in values:
        counts[min(_BINS - 1, int(value / width))] += 1
    return tuple(
        Bar(f"{written(width * n)} to {written(width * (n + 1))}", count(many, "document"), 100 * many / max(counts))
        for n, many in enumerate(counts)
    )


def shortened(label: str, columns: int = _LONGEST_LABEL) -> str:
    """Returns the label, cut at its end to fit into `columns`."""
    taken = 0
    for index, character in enumerate(label):
        taken += 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if taken > columns:
            return f"{label[: index - 1]}…"
    return label
