"""Renders a report as Markdown that is also readable as plain text. PURE."""

import re

from threadmill.answers import answer_markdown
from threadmill.reports.content.report import Report
from threadmill.reports.rendering.formatting import single_line
from threadmill.reports.rendering.template import environment, fill

#: The syntax of Markdown within a line.
_SYNTAX = re.compile(r"[\\`*_\[\]<>&#|~$]")


def plain(text: str) -> str:
    """Returns the text on one line, with Markdown escaped."""
    return _SYNTAX.sub(r"\\\g<0>", single_line(text))


def code(text: str) -> str:
    """Returns a name as inline code."""
    name = single_line(text)
    fence = "`" * (1 + max(map(len, re.findall("`+", name)), default=0))
    pad = " " if name.startswith("`") or name.endswith("`") else ""
    return f"{fence}{pad}{name}{pad}{fence}"


_ENVIRONMENT = environment(autoescape=False, filters={"line": plain, "code": code, "answer": answer_markdown})


def render_markdown(report: Report, template: str | None = None) -> str:
    """Returns the report. `template` replaces the default one, which it can extend. Raises BadTemplate."""
    return fill(_ENVIRONMENT, "report.md", template, report).rstrip("\n") + "\n"
