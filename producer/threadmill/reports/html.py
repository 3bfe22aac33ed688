"""A report as one page of HTML."""

from html import escape

from threadmill.reports.markdown import render_markdown
from threadmill.reports.report import Report


def render_html(report: Report) -> str:
    return f"<!doctype html><title>{escape(report.title)}</title><pre>{escape(render_markdown(report))}</pre>"
