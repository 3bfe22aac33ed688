"""What the buttons of the first page do: endpoints, leftovers, dead letters, callbacks."""

from fastapi import APIRouter
from starlette.responses import Response

from threadmill_gateway.dashboard.page import Acting

router = APIRouter(include_in_schema=False)

_REASON_CHARACTERS = 500


@router.post("/endpoints/{name}/pause")
async def pause(page: Acting, name: str) -> Response:
    reason = str(page.form.get("reason", ""))[:_REASON_CHARACTERS]
    await page.gateway.client.pause_endpoint(name, reason)
    return page.done("paused endpoint", name, back_to="/")


@router.post("/endpoints/{name}/resume")
async def resume(page: Acting, name: str) -> Response:
    await page.gateway.client.resume_endpoint(name)
    return page.done("resumed endpoint", name, back_to="/")


@router.post("/leftovers/retry")
async def retry_leftovers(page: Acting) -> Response:
    number = await page.gateway.client.retry_leftovers()
    return page.done("retried leftovers", f"{number:,}", back_to="/")


@router.post("/callbacks/retry")
async def retry_callbacks(page: Acting) -> Response:
    retried = await page.gateway.client.retry_callbacks()
    return page.done("retried dead callbacks", f"{len(retried):,}", back_to="/")


@router.post("/dead-letters/clear")
async def clear_dead_letters(page: Acting) -> Response:
    await page.gateway.client.clear_dead_letters()
    return page.done("cleared", "dead letters", back_to="/")
