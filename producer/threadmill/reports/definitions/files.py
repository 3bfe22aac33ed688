"""Reads the definitions of reports from their folder."""

import tomllib
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from threadmill.errors import InvalidReport
from threadmill.job.model import explain
from threadmill.reports.definitions.definition import ReportDefinition


def load(folder: Path, name: str) -> ReportDefinition:
    """Reads the report `name`. Raises InvalidReport, which names file, field and remedy."""
    file = folder / f"{name}.toml"
    try:
        content = tomllib.loads(file.read_text("utf-8-sig"))
    except FileNotFoundError:
        known = ", ".join(names(folder)) or "none"
        raise InvalidReport(f"there is no report {name!r} ({folder}/ has {known}); to add it, write {file}") from None
    except (OSError, ValueError) as error:
        raise InvalidReport(f"{file}: cannot be read: {error}") from None
    try:
        return ReportDefinition.model_validate({"name": name, **content})
    except ValidationError as error:
        reason = explain(error)
        fields = ", ".join(field for field in ReportDefinition.model_fields if field != "name")
        remedy = f". A report has {fields}" if "unknown field" in reason else ""
        raise InvalidReport(f"{file}: {reason}{remedy}") from None


def names(folder: Path) -> list[str]:
    """Returns the names of the reports in the folder."""
    return sorted(file.stem for file in folder.glob("*.toml") if not file.name.startswith("."))


def written_at(folder: Path, name: str) -> datetime:
    """Returns when the file was last written. A new report has no due nights before that."""
    return datetime.fromtimestamp((folder / f"{name}.toml").stat().st_mtime).astimezone()
