"""`/batches/{name}/export`: all results of a batch as a file, read while it is sent."""

import io
import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Query
from starlette.responses import Response, StreamingResponse

from threadmill.errors import BatchNotFound
from threadmill.export.formats import csv
from threadmill.export.formats.table import STANDARD_COLUMNS, Table
from threadmill.names import Name
from threadmill.store.records.job import JobRecord
from threadmill_gateway.dashboard.batches.view import name_of
from threadmill_gateway.dashboard.page import Page
from threadmill_gateway.requests.state import Gateway

#: Jobs that are read at a time.
_AT_ONCE = 200

_COLUMNS = ("document", *STANDARD_COLUMNS)

router = APIRouter(include_in_schema=False)


@router.get("/batches/{name}/export")
async def export(page: Page, name: Name, format: Annotated[Literal["jsonl", "csv"], Query()] = "jsonl") -> Response:
    """Sends the results of the jobs that have ended, the last created first."""
    page.check_content("results")
    await page.gateway.client.batch(name)  # raises BatchNotFound before the reply begins
    media_type = {"jsonl": "application/x-ndjson", "csv": "text/csv"}[format]
    return StreamingResponse(
        _parts(page.gateway, name, {"jsonl": _jsonl, "csv": _csv}[format]),
        media_type=media_type,
        headers={
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}.{format}",
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        },
    )


async def _parts(
    gateway: Gateway, name: str, encode: Callable[[Sequence[dict[str, Any]], bool], str]
) -> AsyncIterator[str]:
    """Yields the file in parts. It ends early if the batch is deleted meanwhile."""
    cursor, is_first = None, True
    while not gateway.stopping.is_set():
        try:
            found = await gateway.client.job_page(batch=name, limit=_AT_ONCE, cursor=cursor)
        except BatchNotFound:
            return
        yield encode([_line(record) for record in found.jobs if record.result], is_first)
        cursor, is_first = found.next_cursor, False
        if cursor is None:
            return


def _line(record: JobRecord) -> dict[str, Any]:
    assert record.result is not None
    location = {"document": name_of(record, hides_prompts=False), "key": record.job.key}
    return {**location, **record.result.model_dump(mode="json")}


def _jsonl(lines: Sequence[dict[str, Any]], is_first: bool) -> str:
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def _csv(lines: Sequence[dict[str, Any]], is_first: bool) -> str:
    file = io.StringIO(newline="")
    csv.write(Table(lines, _COLUMNS), file, has_header=is_first)
    return file.getvalue()
