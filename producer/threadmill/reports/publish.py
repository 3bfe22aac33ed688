"""Writes the files of a report atomically, builds its notifications, and deletes old nights."""

import shutil
from contextlib import suppress
from datetime import date
from pathlib import Path
from urllib.parse import quote

from pydantic import TypeAdapter

from threadmill.batch.replacing import replacing
from threadmill.errors import ThreadmillError
from threadmill.reports.content.report import Report
from threadmill.reports.definitions.definition import ReportDefinition
from threadmill.reports.delivery.channel import Notification
from threadmill.reports.rendering.html import is_web_page, render_html
from threadmill.reports.rendering.mail import render_failure, render_failure_text, render_mail, render_mail_text
from threadmill.reports.rendering.markdown import render_markdown
from threadmill.reports.report_run import ReportRun, ReportState

_REPORT = TypeAdapter(Report)
_FINISHED = "report.json"

#: The largest page in bytes to attach to the mail. Many servers refuse mails above 10 MB.
_LARGEST_ATTACHMENT = 5_000_000


def state_folder(root: Path, run: ReportRun) -> Path:
    """Returns the folder of the results of a night. `root` is the folder of the definitions."""
    folder = str(run.night) + (f".{run.revision}" if run.revision > 1 else "")
    return root / ".state" / run.report / folder


def save_report(folder: Path, report: Report) -> Report:
    """Saves the report, so that it is not built again. Returns it as `load_report` will."""
    content = _REPORT.dump_json(report)
    _write(folder / _FINISHED, content.decode())
    return _REPORT.validate_json(content)


def load_report(folder: Path) -> Report | None:
    """Returns the saved report of the night, or None."""
    with suppress(FileNotFoundError):
        return _REPORT.validate_json((folder / _FINISHED).read_bytes())
    return None


def page_of(definition: ReportDefinition, root: Path, night: date) -> Path:
    """Returns the path of the published HTML page. The Markdown file is next to it."""
    return (definition.delivery.folder or root / "published") / definition.name / f"{night}.html"


def publish(report: Report, definition: ReportDefinition, root: Path) -> tuple[tuple[str, ...], str]:
    """Writes the page and the Markdown file. Returns their paths and the link. Raises ThreadmillError."""
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
    """Returns the Markdown and the HTML of the report."""
    templates = definition.templates
    return render_markdown(report, _read(templates.markdown)), render_html(report, _read(templates.html))


def _read(template: Path | None) -> str | None:
    try:
        return template.read_text("utf-8-sig") if template else None
    except (OSError, ValueError) as error:
        raise ThreadmillError(f"template {template}: cannot be read: {error}") from None


def report_notification(report: Report, definition: ReportDefinition, run: ReportRun) -> Notification:
    """Returns the notification of a published report."""
    facts = {
        "report": report.name,
        "night": str(report.night),
        "state": ReportState.PUBLISHED,
        "made_at": report.made_at.isoformat(),
        "link": run.link,
        "documents": run.documents,
        "failed": [{"path": each.path, "reason": each.failure.message} for each in report.failed if each.failure],
        "summary": report.summary,
        "tokens": report.usage.total_tokens,
        "cost": report.cost,
        "currency": report.currency,
    }
    markdown, page = _rendered(report, definition)
    link, name = str(run.link), f"{report.name}-{report.night}.html"
    attach = not is_web_page(link) and len(page.encode()) <= _LARGEST_ATTACHMENT
    attached = name if attach else None
    return Notification(
        _key(run),
        report.title,
        markdown,
        render_mail(report, link, attached),
        facts,
        text=render_mail_text(report, link, attached),
        page=page if attach else None,
        page_name=name,
    )


def failure_notice(definition: ReportDefinition, run: ReportRun) -> Notification:
    """Returns the notification of a failed night."""
    title = f"{definition.title_of(run.night)}: failed"
    facts = {"report": run.report, "night": str(run.night), "state": ReportState.FAILED, "error": run.error}
    return Notification(
        f"{_key(run)}/failed",
        title,
        f"# {title}\n\n{run.error}\n",
        render_failure(title, run),
        facts,
        text=render_failure_text(title, run),
    )


def _key(run: ReportRun) -> str:
    return f"{run.report}/{run.night}" + (f"/{run.revision}" if run.revision > 1 else "")


def remove(run: ReportRun, root: Path) -> None:
    """Deletes the files of a night, and folders that are empty then."""
    for file in map(Path, run.files):
        file.unlink(missing_ok=True)
        with suppress(OSError):  # the folder is not empty
            file.parent.rmdir()
    for revision in range(1, run.revision + 1):
        folder = state_folder(root, run.model_copy(update={"revision": revision}))
        shutil.rmtree(folder, ignore_errors=True)


def _write(file: Path, text: str) -> None:
    with replacing(file) as new:
        new.write(text.encode())
