"""`/batches`: all batches, and one with its documents."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from threadmill.client import Client
from threadmill.job.result import FailureKind, JobState
from threadmill.job_facts import took_s
from threadmill.names import Name
from threadmill.store.records.batch import BatchRecord
from threadmill_gateway.dashboard.batches import actions, export, results
from threadmill_gateway.dashboard.batches.view import (
    BatchView,
    duration_chart,
    name_of,
    progress_chart,
    token_chart,
)
from threadmill_gateway.dashboard.page import Page

#: Batches and documents on a page.
_BATCHES, _DOCUMENTS = 30, 30

#: Jobs that are read for a page of documents; if few of them match, the next page goes on.
_MOST_READ = 200

#: How often a page that is open is read again, in seconds.
_EVERY_S = 2.0

Cursor = Annotated[str | None, Query(max_length=1000)]
Search = Annotated[str, Query(max_length=200)]

router = APIRouter(include_in_schema=False)
for each in (results, export, actions):
    router.include_router(each.router)


@router.get("/batches")
async def batches(page: Page, cursor: Cursor = None, search: Search = "") -> Response:
    def read(client: Client) -> dict[str, Any]:
        found = client.batch_page(limit=_BATCHES, cursor=cursor, search=search)
        rates = client.batch_rates([each.name for each in found.batches if each.open])
        prices = client.settings.prices
        return {
            "batches": [BatchView.of(each, rates.get(each.name), prices) for each in found.batches],
            "next_cursor": found.next_cursor,
            "search": search,
            "is_first": cursor is None,
        }

    return await page.show("batches/batches.html", lambda: page.gateway.client.call(read), every_s=_EVERY_S)


@router.get("/batches/{name}")
async def batch(
    page: Page,
    name: Name,
    cursor: Cursor = None,
    search: Search = "",
    state: Annotated[str, Query(max_length=20)] = "",
    failure: Annotated[str, Query(max_length=100)] = "",
) -> Response:
    chosen = JobState(state) if state in list(JobState) else None

    def read(client: Client) -> dict[str, Any]:
        record, stats, now = client.batch(name), client.batch_stats(name), client.store.now()
        documents = client.job_page(
            batch=name,
            state=chosen,
            failure=FailureKind(failure) if failure else None,
            search=search,
            limit=_DOCUMENTS,
            cursor=cursor,
            most_read=_MOST_READ,
        )
        return {
            "batch": BatchView.of(record, stats.rate(now), client.settings.prices),
            "charts": {
                "progress": progress_chart(stats),
                "durations": duration_chart(stats.durations),
                "tokens": token_chart(stats.tokens),
            },
            "waits": _waits(client, record),
            "documents": [
                (name_of(each, hides_prompts=page.redacts), each, took_s(each, now)) for each in documents.jobs
            ],
            "unreadable": documents.unreadable,
            "next_cursor": documents.next_cursor,
            "asked": {"search": search, "state": chosen or "", "failure": failure},
            "states": list(JobState),
        }

    return await page.show("batches/batch.html", lambda: page.gateway.client.call(read), every_s=_EVERY_S)


def _waits(client: Client, record: BatchRecord) -> list[str]:
    """Returns what its open jobs may wait for: pools of the endpoints that are at a limit, or paused."""
    if not record.open or record.paused:
        return []
    return [f"{pool.name}: {pool.wait_reason}" for pool in client.awaited_pools()]
