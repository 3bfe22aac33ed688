"""A report as one page of HTML."""

from jinja2.sandbox import SandboxedEnvironment

from threadmill.reports.markdown import render_markdown
from threadmill.reports.report import Report

_OURS = "<!doctype html><title>{{ report.title }}</title><pre>{{ text }}</pre>"


def render_html(report: Report, template: str | None = None) -> str:
    page = SandboxedEnvironment(autoescape=True).from_string(template or _OURS)
    return page.render(report=report, text=render_markdown(report))
