"""Results as a table: which columns there are, and what a document has in them."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from threadmill.batch.outcomes import Entry, Outcomes
from threadmill.errors import ThreadmillError

#: In each table first, where any document has them.
_PLACE = ("path", "name", "row", "id", "custom_id")

#: In each table, also where no document has them: the table of a night on which all failed looks like any other.
_ALWAYS = (
    "state",
    "text",
    "failure.kind",
    "failure.message",
    "failure.code",
    "failure.retryable",
    "model",
    "usage.prompt_tokens",
    "usage.completion_tokens",
    "usage.total_tokens",
    "seconds",
    "runs",
    "attempts",
    "calls",
    "timings.created_at",
    "timings.started_at",
    "timings.finished_at",
    "citations",
    "files",
    "job_id",
    "batch",
    "key",
)

#: Only where --fields names them: `text` says it shorter, or they say what the run did and left.
_AT_WISH = (
    "usage.unreported",
    "ignored_tools",
    "full_price",
    "content",
    "steps",
    "missing_steps",
    "thread_id",
    "lost_threads",
    "lost_files",
    "lost_runs",
)

#: More columns than any reader of tables bears: the answers' keys are then data themselves.
_MOST_COLUMNS = 2_000


@dataclass(frozen=True)
class Table:
    """`columns` of a results file's documents."""

    outcomes: Outcomes
    columns: Sequence[str]

    def rows(self) -> Iterator[list[Any]]:
        """Values as JSON has them; None where a document has no such thing."""
        for entry in self.outcomes:
            cells = flatten(entry)
            yield [cells.get(column) for column in self.columns]


def table(outcomes: Outcomes, fields: Sequence[str] = ()) -> Table:
    """All columns, or `fields` of them: a name stands for itself and all below it. Raises ThreadmillError."""
    seen: dict[str, None] = {}
    for entry in outcomes:
        seen |= dict.fromkeys(flatten(entry))
        if not fields and len(seen) > _MOST_COLUMNS:
            raise ThreadmillError(
                f"{outcomes.path}: its answers have more than {_MOST_COLUMNS:,} different keys, too many for columns. "
                "Choose some with --fields, or take --format jsonl"
            )
    place = [name for name in _PLACE if name in seen or name == "path"]
    others = [name for name in seen if name not in {*_PLACE, *_ALWAYS, *_AT_WISH}]
    answers = [name for name in others if _below(name, "answer")]
    known = [*place, *_ALWAYS, *(name for name in others if name not in answers), *answers]
    return Table(outcomes, list(_chosen(fields, [*known, *_AT_WISH])) if fields else known)


def flatten(entry: Entry) -> dict[str, Any]:
    """Columns and values: what is nested has dots, `answer` is what was parsed. Lists stay lists."""
    plain = {name: value for name, value in entry.items() if name != "parsed"}
    timings = entry.get("timings") or {}
    started, finished = moment(timings.get("started_at")), moment(timings.get("finished_at"))
    if started and finished:
        plain["seconds"] = round((finished - started).total_seconds(), 3)
    usage = entry.get("usage") or {}
    if usage.get("unreported") and not usage.get("total_tokens"):
        plain["usage"] = {"unreported": usage["unreported"]}  # 0 tokens would be wrong
    return dict(_leaves({**plain, "answer": entry.get("parsed")}))


def moment(value: Any) -> datetime | None:
    """An aware moment written as JSON has it; None for anything else."""
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return found if found.tzinfo else None


def as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _leaves(value: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, inner in value.items():
        name = _named(before, key)
        if isinstance(inner, dict) and inner:
            yield from _leaves(inner, name)
        elif inner is not None:
            yield name, inner


def _named(before: str, key: str) -> str:
    """A key that itself has a dot is quoted, so that no two columns have one name."""
    if not before:
        return key
    return f"{before}.{key}" if key and not set(key) & set('.["') else f"{before}[{as_json(key)}]"


def _below(column: str, field: str) -> bool:
    return column == field or column.startswith((f"{field}.", f"{field}["))


def _chosen(fields: Iterable[str], known: Sequence[str]) -> dict[str, None]:
    chosen: dict[str, None] = {}
    for field in fields:
        found = [column for column in known if _below(column, field)]
        if not found and not _below(field, "answer"):
            raise ThreadmillError(f"--fields: there is no {field!r}, but {', '.join(known)}")
        chosen |= dict.fromkeys(found or [field])
    return chosen
