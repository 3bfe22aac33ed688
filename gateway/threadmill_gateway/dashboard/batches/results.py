"""`/batches/{name}/results`: one result beside its source, with its neighbours."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from threadmill.client import Client
from threadmill.names import Name
from threadmill_gateway.dashboard.batches.view import name_of, source_of
from threadmill_gateway.dashboard.page import Page

router = APIRouter(include_in_schema=False)


@router.get("/batches/{name}/results")
async def result(page: Page, name: Name, job: Annotated[str, Query(max_length=200)] = "") -> Response:
    """Shows the result of a job; without one, of the first job of the batch."""

    def read(client: Client) -> dict[str, Any]:
        job_id = job or client.first_job(name)
        if job_id is None:
            return {"name": name, "record": None}
        record = client.get(job_id)
        return {
            "name": name,
            "record": record,
            "place": client.batch_place(name, job_id),
            "title": name_of(record, hides_prompts=page.redacts),
            "source": "" if page.redacts else source_of(record),
        }

    return await page.show("batches/result.html", lambda: page.gateway.client.call(read))
