"""`/v1/reports`: the nightly reports, and their files."""

import asyncio
from contextlib import closing, suppress
from datetime import date, datetime
from http import HTTPStatus
from typing import Annotated, Self
from urllib.parse import quote

from fastapi import APIRouter, Header, Response
from pydantic import BaseModel, Field

from threadmill.errors import InvalidReport
from threadmill.job.result import Usage
from threadmill.reports.definitions import files as definitions
from threadmill.reports.report_run import ReportRun, ReportState
from threadmill.reports.store import ReportStore
from threadmill_gateway.files.reports import definition_of, file_names, file_reply, sees
from threadmill_gateway.files.stored import FILE_RESPONSES
from threadmill_gateway.requests.callers import Caller, Reader
from threadmill_gateway.requests.problems import documented
from threadmill_gateway.requests.state import Gateway, Served

router = APIRouter(prefix="/v1/reports", tags=["reports"])


class NightView(BaseModel):
    """The report of one night."""

    night: date = Field(description="The day that it is about.")
    state: ReportState
    begun_at: datetime
    ended_at: datetime | None
    documents: int
    failed_documents: int
    usage: Usage
    cost: float | None
    currency: str
    error: str | None
    files: dict[str, str] = Field(description="The names of its files, each with its path on the gateway.")

    @classmethod
    def of(cls, run: ReportRun, root_path: str) -> Self:
        here = f"{root_path}/v1/reports/{quote(run.report)}/{run.night}"
        fields = {name: getattr(run, name) for name in cls.model_fields if name != "files"}
        return cls(**fields, files={name: f"{here}/{quote(name)}" for name in file_names(run)})


class ReportView(BaseModel):
    """A report with its nights, the latest first."""

    name: str
    nights: list[NightView]


class ReportList(BaseModel):
    data: list[ReportView]


@router.get("")
async def list_reports(gateway: Served, caller: Reader) -> ReportList:
    """List the reports with their nights. A caller who does not operate sees those that have its name as `tenant`."""
    return await asyncio.to_thread(_list, gateway, caller)


@router.get("/{name}", responses=documented(HTTPStatus.NOT_FOUND))
async def get(name: str, gateway: Served, caller: Reader) -> ReportView:
    """Read a report with its nights."""
    return await asyncio.to_thread(_get, gateway, caller, name)


@router.get(
    "/{name}/{night}/{file}",
    response_class=Response,
    responses={
        **FILE_RESPONSES,
        **documented(HTTPStatus.NOT_FOUND, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE),
    },
)
async def get_file(
    name: str, night: date, file: str, gateway: Served, caller: Reader, range: Annotated[str | None, Header()] = None
) -> Response:
    """Read a file of a night: its page, or its Markdown."""
    return await file_reply(gateway, caller, name, night, file, range)


def _list(gateway: Gateway, caller: Caller) -> ReportList:
    found = []
    for name in definitions.names(gateway.settings.reports):
        with suppress(InvalidReport):  # `threadmill report check` says what is wrong
            if sees(caller, definitions.load(gateway.settings.reports, name)):
                found.append(_view(gateway, name))
    return ReportList(data=found)


def _get(gateway: Gateway, caller: Caller, name: str) -> ReportView:
    definition_of(gateway, caller, name)
    return _view(gateway, name)


def _view(gateway: Gateway, name: str) -> ReportView:
    with closing(ReportStore(gateway.settings)) as store:
        runs = store.runs(name)
    return ReportView(name=name, nights=[NightView.of(run, gateway.options.root_path) for run in runs])
