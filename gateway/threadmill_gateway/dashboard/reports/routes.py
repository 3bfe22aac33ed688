"""`/reports`: the reports, a month of one, a night with its page."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from starlette.responses import Response

from threadmill.names import printable
from threadmill_gateway.dashboard.page import Page
from threadmill_gateway.dashboard.reports.calendar import Month
from threadmill_gateway.dashboard.reports.reading import batches_of, month_of, night_of, overviews, shown_state
from threadmill_gateway.files.reports import definition_of, file_names, file_reply

#: How often a page that is open reads its report again, in seconds.
_EVERY_S = 5.0

router = APIRouter(include_in_schema=False)


@router.get("/reports")
async def reports(page: Page) -> Response:
    async def load() -> dict[str, Any]:
        folder = printable(str(page.gateway.settings.reports.absolute()))
        return {"reports": await page.gateway.client.call(overviews), "folder": folder}

    return await page.show("reports/reports.html", load, every_s=_EVERY_S)


@router.get("/reports/{name}")
async def report(page: Page, name: str, month: Annotated[str, Query(max_length=10)] = "") -> Response:
    async def load() -> dict[str, Any]:
        definition = await asyncio.to_thread(definition_of, page.gateway, page.viewer, name)
        shown = await page.gateway.client.call(lambda client: month_of(client, definition, Month.parse(month)))
        return {"name": name, "definition": definition, "shown": shown}

    return await page.show("reports/report.html", load, every_s=_EVERY_S)


@router.get("/reports/{name}/{night}")
async def night(page: Page, name: str, night: date) -> Response:
    async def load() -> dict[str, Any]:
        definition = await asyncio.to_thread(definition_of, page.gateway, page.viewer, name)
        call = page.gateway.client.call
        run, holder = await call(lambda client: night_of(client, definition, night))
        return {
            "name": name,
            "definition": definition,
            "night": night,
            "run": run,
            "state": shown_state(run),
            "holder": holder,
            "batches": await call(lambda client: list(batches_of(client, run))) if run else [],
            "files": [] if run is None or page.redacts else file_names(run),
            "is_past": night <= datetime.now(UTC).date() + timedelta(days=1),
            "month": Month.of(night),
        }

    return await page.show("reports/night.html", load, every_s=_EVERY_S)


@router.get("/reports/{name}/{night}/{file}")
async def night_file(
    page: Page, name: str, night: date, file: str, range: Annotated[str | None, Header()] = None
) -> Response:
    """The page of a night, or its Markdown. It has the policy of a page that nobody trusts."""
    page.check_content("reports")
    return await file_reply(page.gateway, page.viewer, name, night, file, range)
