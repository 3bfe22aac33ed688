"""`/jobs/{id}/artifacts/{name}`: the files that the model made, for people with a session."""

from typing import Annotated

from fastapi import APIRouter, Header, Response

from threadmill_gateway.dashboard.page import Page
from threadmill_gateway.files.artifacts import artifact_reply

router = APIRouter(include_in_schema=False)


@router.get("/jobs/{job_id}/artifacts/{name}")
async def artifact(page: Page, job_id: str, name: str, range: Annotated[str | None, Header()] = None) -> Response:
    page.check_content("artifacts")
    return await artifact_reply(page.gateway, page.viewer, job_id, name, range)
