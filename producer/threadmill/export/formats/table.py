"""Results as a table: its columns, and the values of each document."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from threadmill.errors import ThreadmillError
from threadmill.export.results_reader import ResultLine, ResultsReader

#: The first columns, if any document has them.
_LOCATION = ("path", "name", "row", "id", "custom_id")

#: Columns of every table, so that one in which all documents failed looks like any other.
STANDARD_COLUMNS = (
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

#: Columns that only --fields selects: long forms of `text`, and details of the runs.
_ON_REQUEST = (
    "usage.unreported",
    "ignored_tools",
    "full_price",
    "service_tier",
    "content",
    "steps",
    "missing_steps",
    "thread_id",
    "lost_threads",
    "lost_files",
    "lost_runs",
)

#: The most columns; if there are more, the keys of the answers are data.
_MOST_COLUMNS = 2_000


@dataclass(frozen=True)
class Table:
    """Chosen columns of a results file."""

    reader: Iterable[ResultLine]
    columns: Sequence[str]

    def rows(self) -> Iterator[list[Any]]:
        """Yields the values of each document as in JSON, None where it has none."""
        for entry in self.reader:
            cells = flatten(entry)
            yield [cells.get(column) for column in self.columns]


def build_table(reader: ResultsReader, fields: Sequence[str] = ()) -> Table:
    """Returns a table of all columns, or of `fields`: `usage` selects `usage.total_tokens` too.

    Raises ThreadmillError.
    """
    seen: dict[str, None] = {}
    for entry in reader:
        seen |= dict.fromkeys(flatten(entry))
        if not fields and len(seen) > _MOST_COLUMNS:
            raise ThreadmillError(
                f"{reader.path}: its answers have more than {_MOST_COLUMNS:,} different keys, too many for columns. "
                "Choose some with --fields, or use --format jsonl"
            )
    location = [name for name in _LOCATION if name in seen or name == "path"]
    others = [name for name in seen if name not in {*_LOCATION, *STANDARD_COLUMNS, *_ON_REQUEST}]
    answers = [name for name in others if _below(name, "answer")]
    known = [*location, *STANDARD_COLUMNS, *(name for name in others if name not in answers), *answers]
    return Table(reader, list(_chosen(fields, [*known, *_ON_REQUEST])) if fields else known)


def flatten(entry: ResultLine) -> dict[str, Any]:
    """Returns a line as columns: nested fields have dots in their names, `parsed` is `answer`, lists stay lists."""
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
    """Returns an ISO 8601 time with a time zone; None for anything else."""
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return found if found.tzinfo else None


def as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _leaves(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, inner in value.items():
        name = _column_name(prefix, key)
        if isinstance(inner, dict) and inner:
            yield from _leaves(inner, name)
        elif inner is not None:
            yield name, inner


def _column_name(prefix: str, key: str) -> str:
    """Quotes a key that has a dot, so that column names are unique."""
    if not prefix:
        return key
    return f"{prefix}.{key}" if key and not set(key) & set('.["') else f"{prefix}[{as_json(key)}]"


def _below(column: str, field: str) -> bool:
    return column == field or column.startswith((f"{field}.", f"{field}["))


def _chosen(fields: Iterable[str], known: Sequence[str]) -> dict[str, None]:
    chosen: dict[str, None] = {}
    for field in fields:
        found = [column for column in known if _below(column, field)]
        if not found and not _below(field, "answer"):
            raise ThreadmillError(f"--fields: there is no {field!r}; there are {', '.join(known)}")
        chosen |= dict.fromkeys(found or [field])
    return chosen
