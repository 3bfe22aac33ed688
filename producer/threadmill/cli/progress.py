"""How a batch shows itself on stderr: a live bar at a terminal, a line now and then elsewhere."""

import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from threadmill.batch.tally import Tally
from threadmill.cli.app import err

_LINE_EVERY_S = 10.0
_FAILURES_SHOWN = 20


class Reporter:
    """Takes every change of the tally."""

    def __init__(self, total: int) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[state]}"),
            TimeElapsedColumn(),
            console=err,
            disable=not err.is_terminal,
        )
        self._task = self._progress.add_task("documents", total=total, state="")
        self._last_line = time.monotonic()

    def update(self, tally: Tally) -> None:
        state = f"{tally.failed} failed · {tally.running} running · {_rate(tally)}{_eta(tally)}"
        self._progress.update(self._task, completed=tally.done, state=state)
        if not err.is_terminal and time.monotonic() - self._last_line >= _LINE_EVERY_S:
            self._last_line = time.monotonic()
            err.print(f"{tally.done}/{tally.total} done · {state}", soft_wrap=True)

    def stop(self) -> None:
        self._progress.stop()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def show_summary(tally: Tally, out: Path) -> None:
    """The table at the end, and what failed."""
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, value in (
        ("documents", f"{tally.total}"),
        ("succeeded", f"{tally.succeeded + tally.kept}" + (f" ({tally.kept} earlier)" if tally.kept else "")),
        ("failed", f"{tally.failed}"),
        ("time", f"{tally.seconds:.1f} s, {_rate(tally)}"),
        ("tokens", f"{tally.usage.total_tokens:,}"),
        ("calls", f"{tally.calls:,}"),
        ("results", f"{out}"),
    ):
        table.add_row(name, value)
    err.print(table)
    for path, failure in tally.failures[:_FAILURES_SHOWN]:
        err.print(f"failed: {path}: {failure.kind}: {failure.message}", soft_wrap=True, markup=False)
    if len(tally.failures) > _FAILURES_SHOWN:
        err.print(f"... and {len(tally.failures) - _FAILURES_SHOWN} more; all are in {out}", soft_wrap=True)


def summary(tally: Tally, batch: str, out: Path) -> dict[str, Any]:
    """The same for programs."""
    return {
        "batch": batch,
        "out": str(out),
        "total": tally.total,
        "succeeded": tally.succeeded + tally.kept,
        "kept": tally.kept,
        "failed": tally.failed,
        "seconds": round(tally.seconds, 3),
        "usage": tally.usage.model_dump(),
        "calls": tally.calls,
        "failures": [{"path": path, **failure.model_dump(mode="json")} for path, failure in tally.failures],
    }


def _rate(tally: Tally) -> str:
    fresh = tally.done - tally.kept
    return f"{fresh / tally.seconds:.1f}/s" if tally.seconds > 0 else "0.0/s"


def _eta(tally: Tally) -> str:
    fresh = tally.done - tally.kept
    if not fresh or tally.done >= tally.total:
        return ""
    left_s = int(tally.seconds / fresh * (tally.total - tally.done))
    return f" · {left_s // 60}:{left_s % 60:02} left"
