"""A report's files: put into the folder in one step each, removed when they are too old."""

import os
import shutil
from contextlib import suppress
from datetime import date
from pathlib import Path
from urllib.parse import quote

from pydantic import TypeAdapter

from threadmill.errors import ThreadmillError
from threadmill.reports.definition import ReportDefinition
from threadmill.reports.delivery import Parcel
from threadmill.reports.html import is_web_page, render_html
from threadmill.reports.mail import render_failure, render_failure_text, render_mail, render_mail_text
from threadmill.reports.markdown import render_markdown
from threadmill.reports.night import Night, NightState
from threadmill.reports.report import Report

_REPORT = TypeAdapter(Report)
_FINISHED = "report.json"

#: Bytes of a page that goes along with the mail. Many servers refuse mails above 10 MB.
_LARGEST_ATTACHMENT = 5_000_000


def state_folder(root: Path, night: Night) -> Path:
    """Where the results of a night are kept until it is too old. `root`: that of the definitions."""
    folder = str(night.night) + (f".{night.edition}" if night.edition > 1 else "")
    return root / ".state" / night.report / folder


def keep(folder: Path, report: Report) -> Report:
    """The report is made: no later call makes it again. Gives it as a later call will find it."""
    made = _REPORT.dump_json(report)
    _write(folder / _FINISHED, made.decode())
    return _REPORT.validate_json(made)


def kept(folder: Path) -> Report | None:
    """The report of the night, if it was made."""
    with suppress(FileNotFoundError):
        return _REPORT.validate_json((folder / _FINISHED).read_bytes())
    return None


def page_of(definition: ReportDefinition, root: Path, night: date) -> Path:
    """Where the HTML page of a night is published; the Markdown file is beside it."""
    return (definition.delivery.folder or root / "published") / definition.name / f"{night}.html"


def publish(report: Report, definition: ReportDefinition, root: Path) -> tuple[tuple[str, ...], str]:
    """Writes both forms; gives their paths, and the link to the page. Raises ThreadmillError."""
    page = page_of(definition, root, report.night)
    markdown, html = _rendered(report, definition)
    page.parent.mkdir(parents=True, exist_ok=True)
    files = (page.with_suffix(".md"), page)
    for file, text in zip(files, (markdown, html), strict=True):
        _write(file, text)
    url = definition.delivery.url
    link = f"{url.rstrip('/')}/{quote(report.name)}/{page.name}" if url else str(page.absolute())
    return tuple(str(file.absolute()) for file in files), link


def _rendered(report: Report, definition: ReportDefinition) -> tuple[str, str]:
    """As Markdown and as a page."""
    templates = definition.templates
    return render_markdown(report, _read(templates.markdown)), render_html(report, _read(templates.html))


def _read(template: Path | None) -> str | None:
    try:
        return template.read_text("utf-8-sig") if template else None
    except (OSError, ValueError) as error:
        raise ThreadmillError(f"template {template}: cannot be read: {error}") from None


def parcel(report: Report, definition: ReportDefinition, night: Night) -> Parcel:
    facts = {
        "report": report.name,
        "night": str(report.night),
        "state": NightState.PUBLISHED,
        "made_at": report.made_at.isoformat(),
        "link": night.link,
        "documents": night.documents,
        "failed": [{"path": each.path, "reason": each.failure.message} for each in report.failed if each.failure],
        "summary": report.summary,
        "tokens": report.usage.total_tokens,
        "cost": report.cost,
        "currency": report.currency,
    }
    markdown, page = _rendered(report, definition)
    link, name = str(night.link), f"{report.name}-{report.night}.html"
    attach = not is_web_page(link) and len(page.encode()) <= _LARGEST_ATTACHMENT
    attached = name if attach else None
    return Parcel(
        _key(night),
        report.title,
        markdown,
        render_mail(report, link, attached),
        facts,
        text=render_mail_text(report, link, attached),
        page=page if attach else None,
        page_name=name,
    )


def bad_news(definition: ReportDefinition, night: Night) -> Parcel:
    """That there is no report of the night."""
    title = f"{definition.title_of(night.night)}: failed"
    facts = {"report": night.report, "night": str(night.night), "state": NightState.FAILED, "error": night.error}
    return Parcel(
        f"{_key(night)}/failed",
        title,
        f"# {title}\n\n{night.error}\n",
        render_failure(title, night),
        facts,
        text=render_failure_text(title, night),
    )


def _key(night: Night) -> str:
    return f"{night.report}/{night.night}" + (f"/{night.edition}" if night.edition > 1 else "")


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
