"""Recognises files that threadmill wrote, and can replace without asking."""

import csv
import json
from pathlib import Path
from typing import BinaryIO

from threadmill.export.formats.markdown import title

#: Fields of every line of a results file, and columns of every table without chosen columns.
_ALWAYS_THERE = {"path", "state", "job_id"}
_OPENAI_BATCH = {"id", "custom_id", "response", "error"}

#: More than the first line of any table, which has at most 2,000 columns.
_HEAD_BYTES = 1_000_000


def is_own(file: Path, results: Path) -> bool:
    """Whether `file` is a results file or an export of `results`, by its first line. An empty file is.

    Exports with a template or with chosen columns are not recognised. Raises OSError.
    """
    if not file.is_file():
        return False
    with file.open("rb") as content:
        if content.read(4) == b"PAR1":
            return _parquet_columns(content) >= _ALWAYS_THERE
        content.seek(0)
        first = content.readline(_HEAD_BYTES).decode("utf-8-sig", "replace").rstrip("\r\n")
    if first.startswith("{"):
        return _is_own_line(first)
    header = next(csv.reader([first], delimiter="\t" if "\t" in first else ","), [])
    return first in ("", title(results)) or set(header) >= _ALWAYS_THERE


def _is_own_line(text: str) -> bool:
    try:
        line = json.loads(text)
    except ValueError:
        return False
    if line.keys() == _OPENAI_BATCH:
        response = line["response"]
        return response is None or line["id"] == f"batch_req_{response.get('request_id')}"
    return {"path", "state"} <= line.keys() and bool({"job_id", "key"} & line.keys())


def _parquet_columns(content: BinaryIO) -> set[str]:
    try:
        from pyarrow import ArrowException, parquet  # an extra, and slow to import
    except ImportError:
        return set()
    try:
        return set(parquet.read_schema(content).names)
    except ArrowException:
        return set()
