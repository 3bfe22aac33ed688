"""A report as Markdown."""

from jinja2.sandbox import SandboxedEnvironment

from threadmill.reports.report import Report

_OURS = """# {{ report.title }}

{{ report.summary }}

{% for each in report.failed %}- {{ each.path }}: {{ each.failure.message }}
{% endfor %}"""


def render_markdown(report: Report, template: str | None = None) -> str:
    return SandboxedEnvironment().from_string(template or _OURS).render(report=report)
