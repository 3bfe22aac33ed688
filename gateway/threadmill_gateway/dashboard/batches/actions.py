"""What people do with a batch: pause, resume, limit, cancel, redrive."""

from http import HTTPStatus

from fastapi import APIRouter
from starlette.responses import Response

from threadmill.names import Name
from threadmill_gateway.dashboard.page import Acting
from threadmill_gateway.requests.problems import Problem

router = APIRouter(include_in_schema=False)


@router.post("/batches/{name}/pause")
async def pause(page: Acting, name: Name) -> Response:
    await page.gateway.client.pause(name)
    return page.done("paused batch", name, back_to=f"/batches/{name}")


@router.post("/batches/{name}/resume")
async def resume(page: Acting, name: Name) -> Response:
    await page.gateway.client.resume(name)
    return page.done("resumed batch", name, back_to=f"/batches/{name}")


@router.post("/batches/{name}/cancel")
async def cancel(page: Acting, name: Name) -> Response:
    await page.gateway.client.cancel_batch(name)
    return page.done("cancelled batch", name, back_to=f"/batches/{name}")


@router.post("/batches/{name}/redrive")
async def redrive(page: Acting, name: Name) -> Response:
    await page.gateway.client.redrive_batch(name)
    return page.done("redrove batch", name, back_to=f"/batches/{name}")


@router.post("/batches/{name}/limit")
async def limit(page: Acting, name: Name) -> Response:
    """Sets the most jobs that run at a time; an empty field removes the limit."""
    given = str(page.form.get("concurrent", "")).strip()
    if given and not (given.isascii() and given.isdecimal() and 0 < int(given[:10]) < 10**9):
        remedy = "give a number from 1, or leave the field empty"
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{given:.20} is no limit", remedy)
    await page.gateway.client.limit_batch(name, int(given) if given else None)
    return page.done("limited batch", name, back_to=f"/batches/{name}")
