"""Measured values, what they must be, and the table that shows them."""

import argparse
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

FAR = 0.1  #: a value this share beyond what it must be is missed by far; less may be noise


@dataclass(frozen=True)
class Measured:
    what: str
    value: float
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None

    @property
    def met(self) -> bool | None:
        """None: it only informs."""
        return None if self.at_least is None and self.at_most is None else not self._beyond(0)

    @property
    def missed_by_far(self) -> bool:
        return self._beyond(FAR)

    @property
    def must(self) -> str:
        if self.at_least is not None:
            return f">= {self.at_least:g}"
        return "" if self.at_most is None else f"<= {self.at_most:g}"

    def __str__(self) -> str:
        return "never" if math.isinf(self.value) else f"{self.value:.2f} {self.unit}".rstrip()

    def _beyond(self, share: float) -> bool:
        if self.at_least is not None:
            return self.value < self.at_least * (1 - share)
        return self.at_most is not None and self.value > self.at_most * (1 + share)


def parser_of(prog: str, description: str | None, cases: Mapping[str, Callable[..., Any]]) -> argparse.ArgumentParser:
    """Returns a parser with the option `--only` and a list of the cases."""
    listed = "\n".join(f"  {name}: {(case.__doc__ or '').strip()}" for name, case in cases.items())
    parser = argparse.ArgumentParser(
        prog=prog,
        description=description,
        epilog=f"cases:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", action="append", choices=cases, metavar="CASE", help="may be repeated (default: all)")
    return parser


def show(title: str, values: Sequence[Measured]) -> None:
    table = Table(title=title, title_justify="left", min_width=80)
    for column in ("", "measured", "must", "met"):
        table.add_column(column, justify="left" if not column else "right")
    for each in values:
        met = {None: "", True: "yes", False: "no"}[each.met]
        table.add_row(each.what, str(each), each.must, met)
    Console().print(table)


def missed(name: str, values: Sequence[Measured]) -> list[str]:
    """Returns what was missed by far, a line each."""
    return [f"{name}: {each.what} is {each}, must be {each.must}" for each in values if each.missed_by_far]
