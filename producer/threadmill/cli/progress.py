"""How a batch shows itself on stderr: a live bar at a terminal, a line now and then elsewhere."""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from threadmill.batch.plan import Standing
from threadmill.batch.tally import Tally
from threadmill.cli.app import err
from threadmill.prices import Cost
from threadmill.result import Usage

_LINE_EVERY_S = 10.0
_FAILURES_SHOWN = 20


class Reporter:
    """Shows how far `total` documents are."""

    def __init__(self, total: int) -> None:
        self._total = total
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
        """Takes every change of the tally."""
        parts = [f"{tally.failed + tally.kept_failed} failed", f"{tally.running} running", _rate(tally)]
        parts += [_eta(tally), spent(tally.spending.usage, tally.spending.cost), "paused" if tally.paused else ""]
        self.show(tally.done, " · ".join(filter(None, parts)))

    def show(self, done: int, state: str) -> None:
        self._progress.update(self._task, completed=done, state=state)
        if not err.is_terminal and time.monotonic() - self._last_line >= _LINE_EVERY_S:
            self._last_line = time.monotonic()
            err.print(f"{done}/{self._total} done · {state}", soft_wrap=True)

    def stop(self) -> None:
        self._progress.stop()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def spent(usage: Usage, cost: Cost) -> str:
    """Tokens, and what they cost where there is a price."""
    tokens = f"{usage.total_tokens:,} tokens" if usage.total_tokens else ""
    return tokens if cost.amount is None or not tokens else f"{tokens}, {cost}"


_STANDING = {
    Standing.ANSWERED: "answered earlier",
    Standing.FAILED: "failed earlier (--retry-failed asks again)",
    Standing.AGAIN: "to ask again",
    Standing.CHANGED: "changed",
    Standing.NEW: "new",
    Standing.BAD: "unfit to be asked about",
}


def show_plan(plan: Counter[Standing]) -> None:
    """What a later run of a batch is going to do."""
    said = ", ".join(f"{plan[standing]:,} {what}" for standing, what in _STANDING.items() if plan[standing])
    err.print(f"{plan.total():,} documents: {said}", soft_wrap=True, markup=False)


def show_summary(tally: Tally, out: Path) -> None:
    """The table at the end, and what failed."""
    failed = tally.failed + tally.kept_failed
    rows: Mapping[str, str] = {
        "documents": f"{tally.total:,}",
        "succeeded": f"{tally.answered:,}" + (f" ({tally.kept:,} earlier)" if tally.kept else ""),
        "failed": f"{failed:,}" + (f" ({tally.kept_failed:,} earlier)" if tally.kept_failed else ""),
        "not asked": f"{tally.left:,}" if tally.left else "",
        "time": f"{tally.seconds:.1f} s, {_rate(tally)}",
        "tokens": f"{tally.spending.usage.total_tokens:,}",
        "cost": "" if tally.spending.cost.amount is None else str(tally.spending.cost),
        "calls": f"{tally.calls:,}",
        "results": f"{out}",
    }
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, value in rows.items():
        if value:
            table.add_row(name, value)
    err.print(table)
    for label, failure in tally.failures[:_FAILURES_SHOWN]:
        err.print(f"failed: {label}: {failure.kind}: {failure.message}", soft_wrap=True, markup=False)
    if len(tally.failures) > _FAILURES_SHOWN:
        err.print(f"... and {len(tally.failures) - _FAILURES_SHOWN} more; all are in {out}", soft_wrap=True)
    if failed:
        err.print("To ask again about what failed: the same command with --retry-failed", soft_wrap=True)
    if tally.stopped:
        err.print(f"Stopped: {tally.stopped}. {tally.left:,} documents have no answer.", soft_wrap=True, markup=False)


def summary(tally: Tally, batch: str, out: Path) -> dict[str, Any]:
    """The same for programs."""
    return {
        "batch": batch,
        "out": str(out),
        "total": tally.total,
        "succeeded": tally.answered,
        "kept": tally.kept,
        "failed": tally.failed + tally.kept_failed,
        "kept_failed": tally.kept_failed,
        "left": tally.left,
        "stopped": tally.stopped,
        "seconds": round(tally.seconds, 3),
        "usage": tally.spending.usage.model_dump(),
        "cost": asdict(tally.spending.cost),
        "calls": tally.calls,
        "failures": [{"path": label, **failure.model_dump(mode="json")} for label, failure in tally.failures],
    }


def _fresh(tally: Tally) -> int:
    return tally.succeeded + tally.failed


def _rate(tally: Tally) -> str:
    return f"{_fresh(tally) / tally.seconds:.1f}/s" if tally.seconds > 0 else "0.0/s"


def _eta(tally: Tally) -> str:
    if not _fresh(tally) or not tally.left:
        return ""
    left_s = int(tally.seconds / _fresh(tally) * tally.left)
    return f"{left_s // 60}:{left_s % 60:02} left"
