"""A report as Markdown."""

from threadmill.reports.report import Report


def render_markdown(report: Report) -> str:
    failed = "".join(f"- {each.path}: {each.failure.message}\n" for each in report.failed if each.failure)
    return f"# {report.title}\n\n{report.summary}\n\n{failed}"
