"""The published files of reports, as their callers may read them."""

import asyncio
from contextlib import closing
from datetime import date
from pathlib import Path

from starlette.responses import Response

from threadmill.reports.definitions import files as definitions
from threadmill.reports.definitions.definition import ReportDefinition
from threadmill.reports.publish import page_of
from threadmill.reports.report_run import ReportRun
from threadmill.reports.store import ReportStore
from threadmill_gateway.files.stored import StoredFile, find, missing, reply
from threadmill_gateway.requests.callers import Caller
from threadmill_gateway.requests.state import Gateway

_TYPES = {".html": "text/html; charset=utf-8", ".md": "text/markdown; charset=utf-8"}

#: A page has styles of its own, and no scripts.
_PAGE = {
    "Content-Disposition": "inline",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data: https:; sandbox",
}


def sees(caller: Caller, definition: ReportDefinition) -> bool:
    """Whether the caller may read a report: its own, as `tenant` says."""
    return caller.operates or definition.tenant == caller.name


def definition_of(gateway: Gateway, caller: Caller, name: str) -> ReportDefinition:
    """Returns the definition of a report that the caller may see. Raises Problem, InvalidReport."""
    folder = gateway.settings.reports
    if name in definitions.names(folder):
        definition = definitions.load(folder, name)
        if sees(caller, definition):
            return definition
    raise missing(f"report {name!r:.100}")


def file_names(run: ReportRun) -> list[str]:
    """Returns the names of the files that a night has published."""
    return [Path(file).name for file in run.files]


async def file_reply(
    gateway: Gateway, caller: Caller, name: str, night: date, file: str, range_header: str | None
) -> Response:
    """Returns a published file of a night. Raises Problem: no other file of its folder can be read."""
    found = await asyncio.to_thread(_find, gateway, caller, name, night, file)
    suffix = Path(file).suffix
    page = _PAGE if suffix == ".html" else {}
    return reply(found, file, _TYPES.get(suffix, "application/octet-stream"), range_header, **page)


def _find(gateway: Gateway, caller: Caller, name: str, night: date, file: str) -> StoredFile:
    definition = definition_of(gateway, caller, name)
    with closing(ReportStore(gateway.settings)) as store:
        run = store.get(name, night)
    folder = page_of(definition, gateway.settings.reports, night).parent.resolve()
    path = folder / file
    if run is None or file not in file_names(run) or path.resolve().parent != folder:
        raise missing(f"file {file!r:.200} of report {name}, night of {night}")
    try:
        return find(str(folder), file)
    except FileNotFoundError:
        raise missing(f"file {file!r:.200} of report {name}, night of {night}") from None
