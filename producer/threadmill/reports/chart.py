"""PURE: the geometry of a page's charts. Lengths are percents of the width, as wide as that may be."""

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from threadmill.reports.figures import count, duration, line
from threadmill.reports.report import Report, Section

_MOST_BARS = 40  #: documents shown one by one; of more, how many fall where
_BINS = 10
_LONGEST_LABEL = 30  #: columns; a CJK character takes two. What fits a phone beside the figure


@dataclass(frozen=True)
class Bar:
    label: str
    figure: str
    share: float  #: of the longest, in percent
    failed: bool = False


@dataclass(frozen=True)
class Chart:
    title: str
    told: str  #: in words, for who does not see it
    bars: tuple[Bar, ...]


def charts(report: Report) -> tuple[Chart, ...]:
    """Tokens and time by document; none for a measure that nothing was spent of."""
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
    told = (
        f"{name} of {count(len(values), 'document')}: {written(sum(values))} together, "
        f"from {written(min(values))} to {written(max(values))}. The table of figures has them all."
    )
    if len(values) > _MOST_BARS:
        return Chart(f"Documents by {name.lower()}", told, _histogram(values, written))
    longest = max(values)
    bars = (
        Bar(
            shortened(f"{number}  {line(section.name)}"),
            "failed" if section.failure else written(value),
            100 * value / longest,
            section.failure is not None,
        )
        for number, (section, value) in enumerate(zip(sections, values, strict=True), 1)
    )
    return Chart(f"{name} by document", told, tuple(bars))


def _histogram(values: Sequence[float], written: Callable[[float], str]) -> tuple[Bar, ...]:
    width = max(values) / _BINS
    fallen = [0] * _BINS
    for value in values:
        fallen[min(_BINS - 1, int(value / width))] += 1
    return tuple(
        Bar(f"{written(width * n)} to {written(width * (n + 1))}", count(many, "document"), 100 * many / max(fallen))
        for n, many in enumerate(fallen)
    )


def shortened(label: str, columns: int = _LONGEST_LABEL) -> str:
    """The label in so many columns; what is left out is left out at its end."""
    taken = 0
    for place, character in enumerate(label):
        taken += 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if taken > columns:
            return f"{label[: place - 1]}…"
    return label
