"""The templates of a report's pages, and how one is filled. A template of one's own can extend ours."""

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, TemplateError
from jinja2.sandbox import SandboxedEnvironment

from threadmill.documents.template import BadTemplate
from threadmill.reports.failures import for_readers, reasons
from threadmill.reports.figures import count, duration, money
from threadmill.reports.report import Report


def environment(*, autoescape: bool, filters: Mapping[str, Any]) -> Environment:
    made = SandboxedEnvironment(
        loader=PackageLoader("threadmill.reports"),
        undefined=StrictUndefined,
        autoescape=autoescape,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"for_readers": for_readers, "count": count, "duration": duration, **filters}
    return made


def fill(environment: Environment, ours: str, template: str | None, report: Report, **more: Any) -> str:
    """The page by our template, or by the source of another; raises BadTemplate."""
    known = {
        "report": report,
        "documents": list(enumerate(report.sections, 1)),
        "cost": None if report.cost is None else money(report.cost, report.currency),
        "reasons": reasons(report),
        **more,
    }
    try:
        made = environment.get_template(ours) if template is None else environment.from_string(template)
        page = made.render(known)
    except TemplateError as error:
        raise BadTemplate(f"the report's template: {error}. It can use {', '.join(known)}") from None
    # File names and answers may hold halves of characters, which no file can.
    return page.encode("utf-8", "replace").decode()
