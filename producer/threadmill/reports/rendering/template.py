"""Renders the templates of reports. A template of the user can extend the default one."""

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, TemplateError

from threadmill.documents.readers.jinja import sandbox
from threadmill.documents.template import BadTemplate
from threadmill.reports.content.report import Report
from threadmill.reports.rendering.failures import for_readers, reasons
from threadmill.reports.rendering.formatting import count, duration, money
from threadmill.surrogates import replace_surrogates


def environment(*, autoescape: bool, filters: Mapping[str, Any]) -> Environment:
    """Returns an environment with the default templates, and with `filters` in addition to the common ones."""
    templates = PackageLoader("threadmill.reports.rendering")
    environment = sandbox(loader=templates, autoescape=autoescape, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"for_readers": for_readers, "count": count, "duration": duration, **filters}
    return environment


def fill(environment: Environment, default: str, template: str | None, report: Report, **more: Any) -> str:
    """Renders the default template of this name, or the source `template`. Raises BadTemplate."""
    known = {
        "report": report,
        "documents": list(enumerate(report.sections, 1)),
        "cost": None if report.cost is None else money(report.cost, report.currency),
        "reasons": reasons(report),
        **more,
    }
    try:
        loaded = environment.get_template(default) if template is None else environment.from_string(template)
        page = loaded.render(known)
    except TemplateError as error:
        raise BadTemplate(f"the report's template: {error}. It can use {', '.join(known)}") from None
    return replace_surrogates(page)
