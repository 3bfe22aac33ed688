"""Shows the progress of a batch on stderr: a live bar at a terminal, a line now and then elsewhere."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn
from rich.table import Column, Table
from rich.text import Text

from threadmill.batch.failures import FailureGroup, advice, group_failures
from threadmill.batch.plan import DocumentStatus
from threadmill.batch.progress import BatchProgress
from threadmill.job.result import Usage
from threadmill.settings.prices import Cost
from threadmill_cli.app import err
from threadmill_cli.rendering.waiting import show_jobs, show_waits

_LINE_EVERY_S = 10.0
_GROUPS_SHOWN = 20
_DOCUMENTS_SHOWN = 3
_REASONS = 3  #: reasons shown for jobs at the full price

#: Minimum columns of a terminal that shows a bar, the number of failures, and all numbers.
_NARROW, _MEDIUM, _WIDE = 40, 70, 110


class Reporter:
    """Shows how many of `total` documents are finished."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._progress = _FittingProgress(console=err, disable=not err.is_terminal, expand=True)
        self._task = self._progress.add_task("", total=total, of=f"0/{total:,}", failed="", state="", left="")
        self._last_line = time.monotonic()
        self._first: tuple[float, int] | None = None  # time and number of finished documents at the first call

    def update(self, progress: BatchProgress) -> None:
        """Shows new progress."""
        failed = f"{progress.failed + progress.kept_failed:,} failed"
        figures = [failed, f"{progress.running:,} running", _rate(progress)]
        figures.append(spent(progress.spending.usage, progress.spending.cost))
        figures.append(f"{progress.full_price.total():,} at full price" if progress.full_price else "")
        self.show(
            progress.done,
            _joined(figures),
            failed=failed,
            left=_time_left(progress.seconds, _fresh(progress), progress.left),
            paused=progress.paused,
            waits=show_waits(progress.failing_endpoints, progress.awaited_pools),
        )

    def show(
        self,
        done: int,
        state: str,
        *,
        failed: str = "",
        left: str | None = None,
        paused: bool = False,
        waits: str = "",
    ) -> None:
        """Shows `done` documents.

        `state`: all numbers, for a wide terminal; `failed`: the part for a narrower one; `waits`: what jobs wait for,
        below the bar; `left`: the time left, by default estimated from the progress since the first call.
        """
        now = time.monotonic()
        if self._first is None:
            self._first = now, done
        if left is None:
            began_at, done_before = self._first
            left = _time_left(now - began_at, done - done_before, self._total - done)
        left = "paused" if paused else left
        of = f"{done:,}/{self._total:,}"
        self._progress.waits = waits
        self._progress.update(self._task, completed=done, of=of, failed=failed, state=state, left=left)
        if not err.is_terminal and now - self._last_line >= _LINE_EVERY_S:
            self._last_line = now
            err.print(_joined([f"{of} done", state, left, waits]), soft_wrap=True, markup=False)

    def stop(self) -> None:
        self._progress.stop()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class _FittingProgress(Progress):
    """Shows the columns that fit the terminal, also after a resize."""

    waits = ""  #: a line below the bar; '' shows none

    def get_renderables(self) -> Iterable[RenderableType]:
        self.columns = _columns(err.width)
        yield from super().get_renderables()
        if self.waits:
            yield Text(self.waits, no_wrap=True, overflow="ellipsis")


def _columns(width: int) -> tuple[ProgressColumn, ...]:
    count, percentage, left = (
        _text("{task.fields[of]}"),
        _text("{task.percentage:>3.0f}%"),
        _text("{task.fields[left]}"),
    )
    if width < _NARROW:
        return count, percentage, left
    bar = BarColumn(bar_width=None, table_column=Column(ratio=1, min_width=6))
    if width < _MEDIUM:
        return bar, count, percentage, left
    figures = "state" if width >= _WIDE else "failed"
    return bar, count, percentage, _text(f"{{task.fields[{figures}]}}"), left


def _text(text: str) -> TextColumn:
    return TextColumn(text, markup=False, table_column=Column(no_wrap=True, overflow="ellipsis"))


def _joined(figures: Sequence[str]) -> str:
    return " · ".join(filter(None, figures))


def spent(usage: Usage, cost: Cost) -> str:
    """Returns the number of tokens, with their cost if the model has a price."""
    if not usage.is_reported:
        return "tokens not reported"
    tokens = f"{usage.total_tokens:,} tokens" if usage.total_tokens else ""
    return tokens if cost.amount is None or not tokens else f"{tokens}, {cost}"


_STATUS_LABELS = {
    DocumentStatus.ANSWERED: "answered earlier",
    DocumentStatus.FAILED: "failed earlier",
    DocumentStatus.AGAIN: "to ask again",
    DocumentStatus.CHANGED: "changed",
    DocumentStatus.NEW: "new",
    DocumentStatus.BAD: "unreadable",
}


def show_plan(plan: Counter[DocumentStatus]) -> None:
    """Shows what a resumed batch will do."""
    counts = ", ".join(f"{plan[status]:,} {label}" for status, label in _STATUS_LABELS.items() if plan[status])
    err.print(f"{plan.total():,} documents: {counts}", soft_wrap=True, markup=False)


def show_summary(progress: BatchProgress, out: Path) -> None:
    """Shows the table at the end of a batch, its failures and advice."""
    failed = progress.failed + progress.kept_failed
    rows: Mapping[str, str] = {
        "documents": f"{progress.total:,}",
        "succeeded": f"{progress.answered:,}" + (f" ({progress.kept:,} earlier)" if progress.kept else ""),
        "failed": f"{failed:,}" + (f" ({progress.kept_failed:,} earlier)" if progress.kept_failed else ""),
        "not asked": f"{progress.left:,}" if progress.left else "",
        "time": ", ".join(filter(None, [f"{progress.seconds:,.1f} s", _rate(progress)])),
        "tokens": progress.spending.usage.in_words,
        "cost": "" if progress.spending.cost.amount is None else str(progress.spending.cost),
        "full price": "; ".join(
            f"{show_jobs(jobs)}: {reason}" for reason, jobs in progress.full_price.most_common(_REASONS)
        ),
        "calls": f"{progress.calls:,}",
        "results": f"{out}",
    }
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, value in rows.items():
        if value:
            table.add_row(name, value)
    err.print(table)
    groups = group_failures(progress.failures)
    lines = [_group(group) for group in groups[:_GROUPS_SHOWN]]
    if len(groups) > _GROUPS_SHOWN:
        lines.append(f"... and {len(groups) - _GROUPS_SHOWN:,} more reasons; all are in {out}")
    if progress.stopped:
        lines.append(f"Stopped: {progress.stopped}. {progress.left:,} documents were not asked.")
    for line in (*lines, *advice(progress.permanent_failures, progress.retryable)):
        err.print(line, soft_wrap=True, markup=False)


def _group(group: FailureGroup[str]) -> str:
    first = ", ".join(group.documents[:_DOCUMENTS_SHOWN])
    number = len(group.documents)
    if number == 1:
        return f"failed: {first}: {group.kind}: {group.message}"
    more = ", ..." if number > _DOCUMENTS_SHOWN else ""
    return f"failed: {number:,} documents: {group.kind}: {group.message} ({first}{more})"


def summary(progress: BatchProgress, batch: str, out: Path) -> dict[str, Any]:
    """Returns the summary for --json."""
    return {
        "batch": batch,
        "out": str(out),
        "total": progress.total,
        "succeeded": progress.answered,
        "kept": progress.kept,
        "failed": progress.failed + progress.kept_failed,
        "kept_failed": progress.kept_failed,
        "left": progress.left,
        "stopped": progress.stopped,
        "seconds": round(progress.seconds, 3),
        "usage": progress.spending.usage.model_dump(),
        "cost": asdict(progress.spending.cost),
        "calls": progress.calls,
        "full_price": dict(progress.full_price.most_common()),
        "failures": [{"path": label, **failure.model_dump(mode="json")} for label, failure in progress.failures],
        "failure_groups": [
            {"kind": group.kind, "message": group.message, "retryable": group.retryable, "count": len(group.documents)}
            for group in group_failures(progress.failures)
        ],
    }


def _fresh(progress: BatchProgress) -> int:
    return progress.succeeded + progress.failed


def _rate(progress: BatchProgress) -> str:
    """Returns the documents per s, min or h of this invocation, in the smallest unit with at least one; or ''."""
    if not _fresh(progress) or progress.seconds <= 0:
        return ""
    per_s = _fresh(progress) / progress.seconds
    factor, unit = next(((f, unit) for f, unit in ((1, "s"), (60, "min")) if per_s * f >= 1), (3600, "h"))
    return f"{per_s * factor:,.1f}/{unit}"


def _time_left(seconds: float, done: int, left: int) -> str:
    """Estimates the time left from `done` documents in `seconds`; '' before the first."""
    if done <= 0 or not left:
        return ""
    minutes, rest = divmod(int(seconds / done * left), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,}:{minutes:02}:{rest:02} left" if hours else f"{minutes}:{rest:02} left"
