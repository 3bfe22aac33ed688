"""PURE: a report as one page of HTML that needs nothing else: no file, no network, no script."""

import re
from urllib.parse import urlsplit

from markupsafe import Markup

from threadmill.answers import answer_html
from threadmill.reports.chart import charts
from threadmill.reports.figures import line
from threadmill.reports.report import Report
from threadmill.reports.template import environment, fill

#: Documents that stand open on the page; where there are more, each is folded.
_UNFOLDED = 12


def is_web_page(path: str) -> bool:
    """Whether it is an address that a browser opens."""
    try:
        return urlsplit(path).scheme in ("http", "https")
    except ValueError:
        return False


_ENVIRONMENT = environment(
    autoescape=True,
    filters={
        "line": line,
        "answer": lambda text, under, names=None: Markup(answer_html(text, under, names=names)),
    },
)
_ENVIRONMENT.tests["web_page"] = is_web_page


def _names(report: Report) -> dict[str, str]:
    """Anchors of the documents whose names are unique and are no ordinary word or number."""
    found: dict[str, list[int]] = {}
    for number, section in enumerate(report.sections, 1):
        found.setdefault(line(section.name), []).append(number)
    return {
        name: f"#document-{numbers[0]}"
        for name, numbers in found.items()
        if len(numbers) == 1 and re.search(r"[^\W\d_]", name) and re.search(r"[\d\W_]", name)
    }


def render_html(report: Report, template: str | None = None) -> str:
    """The page; `template`: the source of one in place of ours, which may say `{% extends "report.html" %}`.

    Raises BadTemplate.
    """
    return fill(
        _ENVIRONMENT, "report.html", template, report, charts=charts(report), unfolded=_UNFOLDED, names=_names(report)
    )
