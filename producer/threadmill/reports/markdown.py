"""PURE: a report as Markdown that reads well in any viewer, and in none."""

import re

from threadmill.answers import answer_markdown
from threadmill.reports.figures import line
from threadmill.reports.report import Report
from threadmill.reports.template import environment, fill

#: What means something to Markdown within a line.
_MEANS_SOMETHING = re.compile(r"[\\`*_\[\]<>&#|~$]")


def plain(text: str) -> str:
    """A line of text that stays text."""
    return _MEANS_SOMETHING.sub(r"\\\g<0>", line(text))


def code(text: str) -> str:
    """A name as it is, in as many backticks as it takes."""
    name = line(text)
    fence = "`" * (1 + max(map(len, re.findall("`+", name)), default=0))
    pad = " " if name.startswith("`") or name.endswith("`") else ""
    return f"{fence}{pad}{name}{pad}{fence}"


_ENVIRONMENT = environment(autoescape=False, filters={"line": plain, "code": code, "answer": answer_markdown})


def render_markdown(report: Report, template: str | None = None) -> str:
    """The report; `template`: the source of one in place of ours, which may say `{% extends "report.md" %}`.

    Raises BadTemplate.
    """
    return fill(_ENVIRONMENT, "report.md", template, report).rstrip("\n") + "\n"
