"""`/threads`: kept threads are listed, read, continued and deleted."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from threadmill.job.result import OPEN
from threadmill_gateway.dashboard.conversation import read_conversation
from threadmill_gateway.dashboard.page import Acting, Page

#: Threads on a page, about.
_ON_PAGE = 100

router = APIRouter(include_in_schema=False)


@router.get("/threads")
async def threads(page: Page, cursor: Annotated[str | None, Query(max_length=100)] = None) -> Response:
    async def load() -> dict[str, Any]:
        found = await page.gateway.client.thread_page(limit=_ON_PAGE, cursor=cursor)
        return {"threads": found.threads, "next_cursor": found.next_cursor, "is_first": cursor is None}

    return await page.show("threads/threads.html", load)


@router.get("/threads/{endpoint}/{thread_id}")
async def thread(page: Page, endpoint: str, thread_id: str) -> Response:
    async def load() -> dict[str, Any]:
        call = page.gateway.client.call
        kept = await page.gateway.client.thread(thread_id, endpoint)
        conversation = await call(lambda client: read_conversation(client, endpoint, thread_id))
        open_jobs = [turn for turn in conversation.turns if turn.state in OPEN]
        return {"kept": kept, "conversation": conversation, "open_jobs": open_jobs}

    return await page.show("threads/thread.html", load)


@router.post("/threads/{endpoint}/{thread_id}/delete")
async def delete(page: Acting, endpoint: str, thread_id: str) -> Response:
    """Deletes a thread. With `force`, also while jobs wait for it, and they fail; else the reply says which."""
    force = page.form.get("force") == "yes"
    await page.gateway.client.delete_thread(thread_id, endpoint, force=force)
    return page.done("deleted thread", f"{endpoint}/{thread_id}", back_to="/threads")
