"""`/jobs`: searches jobs, shows one with all that is known about it, and cancels, redrives and deletes it."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import RedirectResponse, Response

from threadmill.errors import BatchNotFound, InvalidCursor
from threadmill.job.result import TERMINAL, FailureKind, JobState
from threadmill.store.records.job import JobRecord
from threadmill_gateway.dashboard.conversation import thread_of
from threadmill_gateway.dashboard.jobs import reading, transcript
from threadmill_gateway.dashboard.jobs.search import MOST_READ, PAGE, InvalidSearch, Search
from threadmill_gateway.dashboard.live_job import LiveJob
from threadmill_gateway.dashboard.page import Acting, Page
from threadmill_gateway.dashboard.shown_page import asks_for_events

router = APIRouter(include_in_schema=False)

#: How often an open page reads a list, or a job that has ended, in seconds.
_EVERY_S = 3.0


@router.get("/jobs")
async def jobs(
    page: Page,
    id: Annotated[str, Query(max_length=500)] = "",
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> Response:
    if id.strip():
        return RedirectResponse(page.url_of("/jobs", id.strip()), 303)
    search = Search.of(page.request.query_params)

    async def load() -> dict[str, Any]:
        shown = {"search": search, "states": tuple(JobState), "failures": tuple(FailureKind), "cursor": cursor}
        try:
            found = await page.gateway.client.job_page(
                **search.chosen(), limit=PAGE, cursor=cursor, most_read=MOST_READ
            )
        except (InvalidSearch, InvalidCursor, BatchNotFound) as error:
            return shown | {"problem": str(error), "jobs": [], "unreadable": 0, "more": None}
        more = page.url("/jobs", **search.given, cursor=found.next_cursor) if found.next_cursor else None
        return shown | {"problem": None, "jobs": found.jobs, "unreadable": found.unreadable, "more": more}

    return await page.show("jobs/jobs.html", load, every_s=_EVERY_S)


@router.get("/jobs/{job_id}")
async def job(page: Page, job_id: str) -> Response:
    def writes(record: JobRecord) -> bool:
        """Whether the page shows a text that is being written."""
        return not page.redacts and record.job.stream and record.state is JobState.RUNNING

    client, live = page.gateway.client, LiveJob(page.gateway.client, job_id, writes)
    has_ended, is_open = (await client.get(job_id)).state in TERMINAL, asks_for_events(page.request)

    async def load() -> dict[str, Any]:
        seen = await live.look()
        record = seen.record
        return {
            "job": record,
            "facts": await client.call(lambda read: reading.read_facts(read, record)),
            "place": reading.PLACE,
            "has_ended": record.state in TERMINAL,
            "turns": () if is_open else transcript.turns_of(record.job),  # they do not change
            "answer": transcript.answer_of(record),
            "text": seen.written.text if writes(record) else "",
            "timeline": reading.shown_timeline(record, hides_content=page.redacts),
            "thread": thread_of(record),
            "others": await client.call(lambda read: reading.other_jobs(read, record)),
            "json_text": transcript.json_text,
        }

    return await page.show("jobs/job.html", load, every_s=_EVERY_S if has_ended else 1.0, close=live.close)


@router.get("/jobs/{job_id}/raw")
async def raw(page: Page, job_id: str) -> Response:
    """The record as it is stored; also one that cannot be read."""

    async def load() -> dict[str, Any]:
        fields = await page.gateway.client.call(lambda client: client.store.fields(job_id))
        return {"id": job_id, "text": reading.raw_text(fields, hides_content=page.redacts)}

    return await page.show("jobs/raw.html", load)


@router.post("/jobs/{job_id}/cancel")
async def cancel(page: Acting, job_id: str) -> Response:
    await page.gateway.client.cancel(job_id)
    return page.done("cancelled job", job_id, back_to=f"/jobs/{job_id}")


@router.post("/jobs/{job_id}/redrive")
async def redrive(page: Acting, job_id: str) -> Response:
    await page.gateway.client.redrive(job_id)
    return page.done("redrove job", job_id, back_to=f"/jobs/{job_id}")


@router.post("/jobs/{job_id}/delete")
async def delete(page: Acting, job_id: str) -> Response:
    await page.gateway.client.delete(job_id)
    return page.done("deleted job", job_id, back_to="/jobs")
