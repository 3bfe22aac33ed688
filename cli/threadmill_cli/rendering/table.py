"""Writes tables to stdout: aligned columns under a header, cut at the right edge of a terminal."""

import shutil
import sys
from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size

from threadmill_cli.app import write_line

_GAP = "  "


def write_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Writes the header and the rows. Lines are cut only at a terminal."""
    widths = [max(map(cell_len, column)) for column in zip(header, *rows, strict=True)]
    edge = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for row in (header, *rows):
        cells = (set_cell_size(cell, width) for cell, width in zip(row, widths, strict=True))
        line = _GAP.join(cells).rstrip()
        write_line(set_cell_size(line, edge).rstrip() if edge is not None and cell_len(line) > edge else line)
