"""A report's files: put into the folder in one step each, removed when they are too old."""

import os
import shutil
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from pydantic import TypeAdapter

from threadmill.reports.book import Night
from threadmill.reports.definition import ReportDefinition
from threadmill.reports.delivery import Parcel
from threadmill.reports.html import render_html
from threadmill.reports.markdown import render_markdown
from threadmill.reports.report import Report

_REPORT = TypeAdapter(Report)
_FINISHED = "report.json"


def state_folder(root: Path, night: Night) -> Path:
    """Where the results of a night are kept until it is too old. `root`: that of the definitions."""
    folder = str(night.night) + (f".{night.edition}" if night.edition > 1 else "")
    return root / ".state" / night.report / folder


def keep(folder: Path, report: Report) -> None:
    """The report is made: no later call makes it again."""
    _write(folder / _FINISHED, _REPORT.dump_json(report).decode())


def kept(folder: Path) -> Report | None:
    """The report of the night, if it was made."""
    with suppress(FileNotFoundError):
        return _REPORT.validate_json((folder / _FINISHED).read_bytes())
    return None


def publish(report: Report, definition: ReportDefinition, root: Path) -> tuple[tuple[str, ...], str]:
    """Writes both forms; gives their paths, and the link to the page."""
    folder = definition.delivery.folder or root / "published"
    page = folder / report.name / f"{report.night}.html"
    files = {page.with_suffix(".md"): render_markdown(report), page: render_html(report)}
    page.parent.mkdir(parents=True, exist_ok=True)
    for file, text in files.items():
        _write(file, text)
    url = definition.delivery.url
    link = f"{url.rstrip('/')}/{quote(report.name)}/{page.name}" if url else str(page.absolute())
    return tuple(str(file.absolute()) for file in files), link


def parcel(report: Report, night: Night) -> Parcel:
    facts = {
        "report": report.name,
        "night": str(report.night),
        "made_at": report.made_at.isoformat(),
        "link": night.link,
        "documents": night.documents,
        "failed": [{"path": each.path, "reason": each.failure.message} for each in report.failed if each.failure],
        "summary": report.summary,
        "tokens": report.usage.total_tokens,
        "cost": report.cost,
        "currency": report.currency,
    }
    key = f"{report.name}/{report.night}" + (f"/{night.edition}" if night.edition > 1 else "")
    return Parcel(key, report.title, render_markdown(report), render_html(report), facts)


def remove(night: Night, root: Path) -> None:
    """The files of a night: those we wrote, and no folder with anything of somebody else's."""
    for file in map(Path, night.files):
        file.unlink(missing_ok=True)
        with suppress(OSError):  # there are others
            file.parent.rmdir()
    for edition in range(1, night.edition + 1):
        folder = state_folder(root, night.model_copy(update={"edition": edition}))
        shutil.rmtree(folder, ignore_errors=True)


def _write(file: Path, text: str) -> None:
    fresh = file.with_name(f".{file.name}.new")
    fresh.write_text(text, "utf-8")
    os.replace(fresh, file)
