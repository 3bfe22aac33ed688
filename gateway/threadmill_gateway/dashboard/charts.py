"""Charts as rectangles and labels of an SVG. PURE."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

#: The size of a chart in the units of its viewBox; the page scales it.
WIDTH, HEIGHT = 600, 140

#: Space below the bars for labels.
LABELS = 18

_GAP = 0.15  # of the width of a bar

#: A chart has room for so many bars, even if it has fewer.
_LEAST_COLUMNS = 8


class Rect(NamedTuple):
    """A part of a bar. `kind`: its class in the style sheet. `title`: what it says when it is pointed at."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    title: str


class Label(NamedTuple):
    """A text below the bars. `anchor`: where `x` is in it, as SVG has it."""

    x: float
    text: str
    anchor: str


@dataclass(frozen=True)
class Chart:
    rects: Sequence[Rect]
    labels: Sequence[Label] = ()
    highest: float = 0  #: the value of the highest bar
    width: int = WIDTH
    height: int = HEIGHT + LABELS

    @property
    def baseline(self) -> int:
        return HEIGHT

    @property
    def labels_y(self) -> int:
        return HEIGHT + LABELS - 4


class Part(NamedTuple):
    """A part of a bar before it has a place."""

    value: float
    kind: str
    title: str


def bars(columns: Sequence[Sequence[Part]], labels: Sequence[str]) -> Chart:
    """Returns a chart with a bar for each column; the parts of a column stand on each other.

    `labels`: of the columns, '' for one without. The highest bar fills the height.
    """
    highest = max((sum(part.value for part in column) for column in columns), default=0)
    if highest <= 0:
        return Chart(())
    room = max(len(columns), _LEAST_COLUMNS)
    step = WIDTH / room
    rects: list[Rect] = []
    for number, column in enumerate(columns):
        top = float(HEIGHT)
        for part in column:
            if part.value > 0:
                height = max(1.0, HEIGHT * part.value / highest)
                top -= height
                x, width = step * (number + _GAP / 2), step * (1 - _GAP)
                rects.append(Rect(round(x, 2), round(top, 2), round(width, 2), round(height, 2), part.kind, part.title))
    shown = [(number, text) for number, text in enumerate(labels) if text]
    return Chart(rects, [_label(number, text, step, room) for number, text in shown], highest)


def _label(number: int, text: str, step: float, room: int) -> Label:
    if number == 0:
        return Label(round(step * _GAP / 2, 2), text, "start")
    if number == room - 1:
        return Label(WIDTH, text, "end")
    return Label(round(step * (number + 0.5), 2), text, "middle")
