"""PURE: a report as one page of HTML that needs nothing else: no file, no network, no script."""

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
        "answer": lambda text, under: Markup(answer_html(text, under)),
    },
)
_ENVIRONMENT.tests["web_page"] = is_web_page


def render_html(report: Report, template: str | None = None) -> str:
    """The page; `template`: the source of one in place of ours, which may say `{% extends "report.html" %}`.

    Raises BadTemplate.
    """
    return fill(_ENVIRONMENT, "report.html", template, report, charts=charts(report), unfolded=_UNFOLDED)
