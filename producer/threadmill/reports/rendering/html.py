"""Renders a report as a self-contained HTML page without scripts. PURE."""

import re
from urllib.parse import urlsplit

from markupsafe import Markup

from threadmill.answers import answer_html
from threadmill.reports.content.report import Report
from threadmill.reports.rendering.chart import charts
from threadmill.reports.rendering.formatting import single_line
from threadmill.reports.rendering.template import environment, fill

#: With more documents than this, each is folded.
_UNFOLDED = 12


def is_web_page(path: str) -> bool:
    """Whether the path is an http or https URL."""
    try:
        return urlsplit(path).scheme in ("http", "https")
    except ValueError:
        return False


_ENVIRONMENT = environment(
    autoescape=True,
    filters={
        "line": single_line,
        "answer": lambda text, under, names=None: Markup(answer_html(text, under, names=names)),
    },
)
_ENVIRONMENT.tests["web_page"] = is_web_page


def _names(report: Report) -> dict[str, str]:
    """Returns the anchors of documents by name, without names that are repeated, plain words or numbers."""
    found: dict[str, list[int]] = {}
    for number, section in enumerate(report.sections, 1):
        found.setdefault(single_line(section.name), []).append(number)
    return {
        name: f"#document-{numbers[0]}"
        for name, numbers in found.items()
        if len(numbers) == 1 and re.search(r"[^\W\d_]", name) and re.search(r"[\d\W_]", name)
    }


def render_html(report: Report, template: str | None = None) -> str:
    """Returns the page. `template` replaces the default one, which it can extend. Raises BadTemplate."""
    return fill(
        _ENVIRONMENT, "report.html", template, report, charts=charts(report), unfolded=_UNFOLDED, names=_names(report)
    )
