"""Converts lines of a results file to sections of a report."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from threadmill.job.result import Citation, Failure, FailureKind, JobState, Usage
from threadmill.reports.content.report import Section


def failure_of(line: Mapping[str, Any]) -> Failure:
    return Failure.model_validate(line["failure"])


def section_of(line: Mapping[str, Any]) -> Section:
    timings = line.get("timings", {})
    started, ended = (at and datetime.fromisoformat(at) for at in map(timings.get, ("started_at", "finished_at")))
    return Section(
        name=line["name"],
        path=line["path"],
        text=line["text"] if line["state"] == JobState.SUCCEEDED else "",
        failure=None if line["state"] == JobState.SUCCEEDED else failure_of(line),
        citations=tuple(Citation.model_validate(each) for each in line.get("citations", ())),
        usage=Usage.model_validate(line.get("usage", {})),
        seconds=(ended - started).total_seconds() if started and ended else 0.0,
    )


def missing_section(location: Mapping[str, Any]) -> Section:
    """Returns the section of a document without a line."""
    failure = Failure(kind=FailureKind.REJECTED, message="was added or moved while the report was produced")
    return Section(name=location["name"], path=location["path"], text="", failure=failure)
