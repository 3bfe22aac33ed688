"""`/playground`: send a prompt, watch its answer, continue the conversation."""

from http import HTTPStatus
from typing import Any
from uuid import uuid4

from fastapi import APIRouter
from starlette.responses import Response, StreamingResponse

from threadmill.errors import StoreRefused, StoreUnavailable, ThreadmillError
from threadmill.job.filetypes import media_type
from threadmill_gateway.dashboard.live_job import LiveJob
from threadmill_gateway.dashboard.page import Acting, Page
from threadmill_gateway.dashboard.playground.form import Typed
from threadmill_gateway.dashboard.playground.reading import choices_of, conversation_of, shown_job
from threadmill_gateway.dashboard.playground.sending import send
from threadmill_gateway.files.stored import safe_type
from threadmill_gateway.files.uploading import content_of, upload_of
from threadmill_gateway.requests.problems import Problem

#: How often a page looks at its job, in seconds.
_EVERY_S = 0.3

#: The form is sent here; its body may have files.
PATH = "/playground"

_TEMPLATE = "playground/playground.html"

router = APIRouter(include_in_schema=False)


@router.get(PATH)
async def playground(page: Page) -> Response:
    """The empty form. A query names what it begins with, such as a thread to continue."""
    typed = Typed.of_query(page.request.query_params)

    async def load() -> dict[str, Any]:
        return await _without_job(page, typed)

    return await page.show(_TEMPLATE, load)


@router.post(PATH)
async def send_prompt(page: Acting) -> Response:
    """Enqueues a job and leads to its page. What cannot be sent is shown again, with the reason."""
    typed = Typed.of(page.form)
    try:
        job_id = await send(page.gateway, page.viewer, typed, page.form)
    except (StoreUnavailable, StoreRefused):
        raise
    except ThreadmillError as error:
        reason, status = str(error), HTTPStatus.UNPROCESSABLE_ENTITY
    except Problem as problem:
        reason, status = f"{problem.body.detail}; {problem.body.remedy}", problem.status
    else:
        return page.done("sent a prompt", job_id, back_to=f"/playground/{job_id}")

    async def load() -> dict[str, Any]:
        return await _without_job(page, typed, reason)

    return await page.show(_TEMPLATE, load, status=status)


@router.get("/playground/{job_id}")
async def conversation(page: Page, job_id: str) -> Response:
    """The conversation that a job is part of, and its answer while it is written."""
    live = LiveJob(page.gateway.client, job_id)
    once: dict[str, Any] = {}

    async def load() -> dict[str, Any]:
        seen = await live.look()
        if not once:
            once.update(await shown_job(page.gateway, seen.record))
        return {
            **once,
            "seen": seen,
            "waits_for": await live.waits_for(seen.record),
            "typed": Typed.after(seen.record),
            "reason": "",
            "is_live": not seen.has_ended,
        }

    return await page.show(_TEMPLATE, load, every_s=_EVERY_S, close=live.close)


@router.post("/playground/{job_id}/cancel")
async def cancel(page: Acting, job_id: str) -> Response:
    await page.gateway.client.cancel(job_id)
    return page.done("cancelled job", job_id, back_to=f"/playground/{job_id}")


@router.get("/playground/uploads/{upload_id}")
async def upload(page: Page, upload_id: str) -> Response:
    """A file that was sent with a prompt. A browser runs nothing of it."""
    page.check_content("files")
    found = await upload_of(page.gateway, page.viewer, upload_id)
    shown, headers = safe_type(found.name, media_type(found.name))
    return StreamingResponse(content_of(page.gateway, found), HTTPStatus.OK, headers, shown)


async def _without_job(page: Page, typed: Typed, reason: str = "") -> dict[str, Any]:
    """Returns what the page shows before a prompt was sent."""
    return {
        "seen": None,
        "waits_for": None,
        "typed": typed,
        "reason": reason,
        "is_live": False,
        "saved": None,
        "form": uuid4().hex,
        "choices": await choices_of(page.gateway),
        "conversation": await conversation_of(page.gateway, typed),
    }
