"""Renders a report as a mail of bounded size: its summary, figures and failures. PURE."""

from markupsafe import Markup

from threadmill.answers import answer_html
from threadmill.reports.content.grouping import shorten
from threadmill.reports.content.report import Report
from threadmill.reports.rendering.failures import reasons
from threadmill.reports.rendering.formatting import count, duration, money, single_line
from threadmill.reports.rendering.html import is_web_page
from threadmill.reports.rendering.template import environment, fill
from threadmill.reports.report_run import ReportRun
from threadmill.surrogates import replace_surrogates

#: Bytes of the rendered summary. Gmail clips a message at about 102 kB.
_LARGEST_SUMMARY = 60_000

_LONGEST_REASON = 10_000  #: characters

_CELL = "padding:4px 12px 4px 0;border-bottom:1px solid #d5dae0;text-align:left;vertical-align:top"
_CODE = "font-family:Consolas,Menlo,monospace;font-size:14px;background-color:#f3f5f7"
_HEADING = "margin:20px 0 8px;font-size:17px;line-height:24px"
_LIST = "margin:0 0 16px;padding:0 0 0 22px"
_STYLES = {
    "p": "margin:0 0 16px",
    "ul": _LIST,
    "ol": _LIST,
    "li": "margin:0 0 6px",
    "a": "color:#0a5a93",
    "blockquote": "margin:0 0 16px;padding:0 0 0 12px;border-left:3px solid #d5dae0;color:#55606b",
    "code": _CODE,
    "pre": f"margin:0 0 16px;padding:10px;white-space:pre-wrap;{_CODE}",
    "table": "margin:0 0 16px;border-collapse:collapse;font-size:14px;line-height:20px",
    "th": _CELL,
    "td": _CELL,
    **{f"h{level}": _HEADING for level in range(3, 7)},
}

_ENVIRONMENT = environment(autoescape=True, filters={"line": single_line})
_ENVIRONMENT.tests["web_page"] = is_web_page


def render_mail(report: Report, link: str, attached: str | None = None) -> str:
    """Returns the HTML of the mail.

    `link` is the URL of the page, or its file if it has none. `attached` is the name of the attached page.
    """
    summary, is_cut = _summary_html(report.summary)
    return fill(
        _ENVIRONMENT,
        "mail.html",
        None,
        report,
        link=link,
        where=_where(link, attached),
        facts=_facts(report),
        summary=Markup(summary),
        is_cut=is_cut,
    )


def render_mail_text(report: Report, link: str, attached: str | None = None) -> str:
    """Returns the plain text of the mail."""
    failed = [f"{len(each.documents)}: {each.message}" for each in reasons(report)[:10]]
    parts = [
        single_line(report.title),
        "\n".join(f"{name}: {value}" for name, value in _facts(report)),
        _where(link, attached),
        report.summary[:_LARGEST_SUMMARY],
        "\n".join(["Not in this report:", *failed]) if failed else "",
    ]
    return replace_surrogates("\n\n".join(filter(None, parts))) + "\n"


def render_failure(title: str, run: ReportRun) -> str:
    """Returns the HTML of the mail about a failed night."""
    template = _ENVIRONMENT.get_template("mail_failed.html")
    html = template.render(title=title, run=run, facts=_failure_facts(run), retry=_retry(run))
    return replace_surrogates(html)


def render_failure_text(title: str, run: ReportRun) -> str:
    """Returns the plain text of the mail about a failed night."""
    parts = [
        single_line(title),
        f"There is no report for {run.night}.",
        "\n".join(f"{name}: {single_line(value)}" for name, value in _failure_facts(run)),
        f"To try again: {_retry(run)}",
    ]
    return replace_surrogates("\n\n".join(parts)) + "\n"


def _failure_facts(run: ReportRun) -> list[tuple[str, str]]:
    reason = shorten(str(run.error), _LONGEST_REASON)
    return [("Report", run.report), ("Night", str(run.night)), ("Reason", reason)]


def _retry(run: ReportRun) -> str:
    return f"threadmill report run {run.report} --date {run.night}"


def _where(link: str, attached: str | None) -> str:
    if is_web_page(link):
        return f"The full report: {link}"
    if attached:
        return f"The full report is attached: {attached}"
    return f"The full report is too large to attach. It is the file {link}"


def _facts(report: Report) -> list[tuple[str, str]]:
    cost = None if report.cost is None else money(report.cost, report.currency)
    return [
        ("Documents", count(len(report.sections))),
        ("Failed", count(len(report.failed))),
        ("Tokens", count(report.usage.total_tokens) if report.usage.is_reported else report.usage.in_words),
        *([("Cost", cost)] if cost else []),
        ("Took", duration(report.seconds)),
    ]


def _summary_html(summary: str) -> tuple[str, bool]:
    """Returns the HTML of the summary, cut if it is too large, and whether it was cut."""
    lines, kept = summary[:_LARGEST_SUMMARY].splitlines(), len(summary) <= _LARGEST_SUMMARY
    while len((html := answer_html("\n".join(lines), 2, _STYLES)).encode("utf-8", "replace")) > _LARGEST_SUMMARY:
        lines = [lines[0][: len(lines[0]) // 2]] if len(lines) == 1 else lines[: len(lines) // 2]
        kept = False
    return html, not kept
