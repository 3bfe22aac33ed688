"""A table of what two sides measured, with their ratio."""

from rich.console import Console
from rich.table import Table


class Comparison:
    def __init__(self, title: str, first: str, second: str) -> None:
        self._table = Table(title=title)
        for column in ("", first, second, "ratio"):
            self._table.add_column(column, justify="left" if not column else "right")

    def row(self, name: str, first: float, second: float, unit: str = "") -> None:
        ratio = f"{second / first:.2f}" if first else ""
        self._table.add_row(name, f"{first:.2f} {unit}", f"{second:.2f} {unit}", ratio)

    def show(self) -> None:
        Console().print(self._table)
