"""Assembles the application: routes, and what all of them do about errors."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import cache
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import Scope

from threadmill.async_client import AsyncClient
from threadmill.errors import ThreadmillError
from threadmill.settings.settings import Settings
from threadmill_gateway import health, metrics, reference
from threadmill_gateway.dashboard import artifacts as page_artifacts
from threadmill_gateway.dashboard import sign_in
from threadmill_gateway.dashboard.batches import routes as batch_pages
from threadmill_gateway.dashboard.jobs import routes as page_jobs
from threadmill_gateway.dashboard.page import error_page, sign_in_page
from threadmill_gateway.dashboard.playground import routes as playground
from threadmill_gateway.dashboard.playground.routes import PATH as PLAYGROUND
from threadmill_gateway.dashboard.reports import routes as page_reports
from threadmill_gateway.dashboard.session import SignInNeeded
from threadmill_gateway.dashboard.shown_page import asks_for_events, path_of
from threadmill_gateway.dashboard.sign_in_brake import SignInBrake
from threadmill_gateway.dashboard.threads import routes as threads
from threadmill_gateway.dashboard.tonight import actions as tonight_actions
from threadmill_gateway.dashboard.tonight import routes as tonight
from threadmill_gateway.files.uploading import FORM_BYTES
from threadmill_gateway.hooks import openai as openai_hooks
from threadmill_gateway.jobs import artifacts, batch_events, callbacks, endpoints, events, jobs, reports
from threadmill_gateway.jobs import batches as job_batches
from threadmill_gateway.jobs import files as job_files
from threadmill_gateway.openai import models
from threadmill_gateway.openai.batches import files
from threadmill_gateway.openai.batches import routes as batches
from threadmill_gateway.openai.batches.enqueueing import BatchEnqueueing
from threadmill_gateway.openai.chat import routes as chat
from threadmill_gateway.openai.errors import ApiError
from threadmill_gateway.openai.replies import api_error, error_reply, speaks_openai
from threadmill_gateway.openai.responses import routes as responses
from threadmill_gateway.openai.work import ClientGone
from threadmill_gateway.options import GatewayOptions
from threadmill_gateway.requests.key_ring import KeyRing
from threadmill_gateway.requests.limits import BodyLimit
from threadmill_gateway.requests.problems import (
    EVERYWHERE,
    MEDIA_TYPE,
    Problem,
    ProblemBody,
    invalid_request,
    problem_of,
)
from threadmill_gateway.requests.root_path import RootPath
from threadmill_gateway.requests.state import Gateway

log = logging.getLogger(__name__)

_NATIVE = (jobs, events, artifacts, job_files, job_batches, batch_events, endpoints, callbacks, reports)
_OPENAI = (models, responses, chat, files, batches)
_DASHBOARD = (
    sign_in,
    tonight,
    tonight_actions,
    batch_pages,
    page_jobs,
    page_artifacts,
    page_reports,
    playground,
    threads,
)

_DESCRIPTION = "Enqueue prompt jobs and read their results. Errors are problems as RFC 9457 has them."


def create_app(settings: Settings, options: GatewayOptions | None = None) -> FastAPI:
    """Returns the application. Its client connects to Redis on first use, and is closed with the application."""
    options = options or GatewayOptions()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncClient(settings) as client:
            app.state.gateway = Gateway(client, options, KeyRing(client))
            app.state.batch_enqueueing = BatchEnqueueing(client)
            app.state.sign_in_brake = SignInBrake()
            async with app.state.batch_enqueueing.running():
                yield

    app = FastAPI(
        title="threadmill",
        version=version("threadmill"),
        description=_DESCRIPTION,
        lifespan=lifespan,
        openapi_url="/openapi.json" if options.has_api else None,
        docs_url=None,  # FastAPI's pages load scripts from another host
        redoc_url=None,
        routes=_routes(options.has_api, options.has_dashboard),
        telemetry=_TELEMETRY,
    )
    app.add_middleware(BodyLimit, limit=options.max_body_bytes, reply=_reply, uploads=_upload_limits(settings))
    if options.root_path:
        app.add_middleware(RootPath, path=options.root_path)
    for kind, answer in _ANSWERS.items():
        app.add_exception_handler(kind, answer)
    return app


@cache
def _routes(has_api: bool, has_dashboard: bool) -> list[BaseRoute]:
    """Returns the routes. FastAPI prepares them with the first request, which takes long: applications share them."""
    together = APIRouter(responses=_EVERYWHERE)
    api = (reference, *_NATIVE, *_OPENAI, openai_hooks) if has_api else ()
    for routes in (health, metrics, *api, *(_DASHBOARD if has_dashboard else ())):
        together.include_router(routes.router)
    return together.routes


def _upload_limits(settings: Settings) -> dict[str, int]:
    """Returns the paths that take files, with the limits of their bodies."""
    limit = settings.upload_limit_bytes + FORM_BYTES
    paths = (files.router.prefix, job_files.router.prefix, PLAYGROUND)
    return dict.fromkeys(paths, limit)


def _reply(scope: Scope, problem: Problem) -> Response:
    """Returns a problem in the form of the API that the path belongs to."""
    if _is_page(scope):
        return error_page(Request(scope), scope["app"].state.gateway, problem)
    return error_reply(api_error(problem)) if speaks_openai(scope) else problem.response()


def _is_page(scope: Scope) -> bool:
    """Whether a browser asks for a page of the dashboard, or for the events of one."""
    request = Request(scope)
    options: GatewayOptions = request.app.state.gateway.options
    if not options.has_dashboard or path_of(request).startswith("/v1/"):
        return False
    return asks_for_events(request) or "text/html" in request.headers.get("Accept", "")


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return _reply(request.scope, error)


async def _api_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return error_reply(error)


async def _sign_in_needed(request: Request, _: Exception) -> Response:
    return sign_in_page(request, request.app.state.gateway)


async def _client_gone(_: Request, __: Exception) -> Response:
    return Response(status_code=499)  # for the access log; nobody reads it


async def _error_of_library(request: Request, error: Exception) -> Response:
    assert isinstance(error, ThreadmillError)
    problem = problem_of(error)
    if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.warning("%s %s: %s", request.method, request.url.path, error)
    return _reply(request.scope, problem)


async def _invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return _reply(request.scope, invalid_request(error.errors()))


async def _http_error(request: Request, error: Exception) -> Response:
    """Answers as a problem what FastAPI and Starlette refuse: unknown paths, methods, bodies that are too large."""
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(_methods(request))
    return _reply(request.scope, Problem(HTTPStatus(error.status_code), error.detail, headers=headers))


def _methods(request: Request) -> Iterator[str]:
    """Yields the methods of a path. Starlette's own header has only those of the first route."""
    for method in ("GET", "POST", "PUT", "DELETE"):
        scope = {**request.scope, "method": method}
        if any(route.matches(scope)[0] is Match.FULL for route in request.app.routes):
            yield method


async def _unexpected(request: Request, error: Exception) -> Response:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    problem = Problem(
        HTTPStatus.INTERNAL_SERVER_ERROR, "the gateway failed; its log says why", "report this to its operator"
    )
    return _reply(request.scope, problem)


_ANSWERS: dict[type[Exception], Callable[[Request, Any], Awaitable[Response]]] = {
    Problem: _problem,
    ApiError: _api_error,
    SignInNeeded: _sign_in_needed,
    ClientGone: _client_gone,
    ThreadmillError: _error_of_library,
    RequestValidationError: _invalid_request,
    HTTPException: _http_error,
    Exception: _unexpected,
}

#: A request has a span, which continues its `traceparent`, if the process has a tracer provider: tracing/sdk.py.
_TELEMETRY: TelemetryConfig = {
    "auto_configure": False,
    "tracing": True,
    "operation_spans": False,
    "metrics": False,
    "logs": False,
}

#: The problems that every route may answer with.
_EVERYWHERE: dict[int | str, dict[str, Any]] = {
    status: {"description": HTTPStatus(status).phrase, "model": ProblemBody, "content": {MEDIA_TYPE: {}}}
    for status in EVERYWHERE
}
