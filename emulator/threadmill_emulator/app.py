"""Builds the ASGI application: the API under each base path, the controls under /_, errors as JSON."""

import logging
import time
from collections.abc import Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from threadmill_emulator.errors.api_error import ApiError, wrong_method
from threadmill_emulator.errors.forms import form_of
from threadmill_emulator.http import control
from threadmill_emulator.http.emulator import Emulator
from threadmill_emulator.http.endpoint import AZURE_PATH, AZURE_V1_PATH, DAVINCI_PATH
from threadmill_emulator.http.refused import no_route
from threadmill_emulator.http.routes import API
from threadmill_emulator.ids import new_id
from threadmill_emulator.scripting.options import Options

log = logging.getLogger(__name__)


def create_app(options: Options | None = None, clock: Callable[[], float] = time.time) -> Starlette:
    api = Router(API, redirect_slashes=False)
    app = Starlette(
        routes=[
            *(Mount(path, api) for path in ("/v1", DAVINCI_PATH, AZURE_V1_PATH, AZURE_PATH)),
            *control.ROUTES,
        ],
        exception_handlers={HTTPException: _no_route, Exception: _bug},
    )
    app.router.redirect_slashes = False
    app.add_middleware(ResponseHeaders)
    app.state.emulator = Emulator(options or Options(), clock)
    return app


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    method, path = request.method, request.url.path
    form = form_of(request.app.state.emulator.options.extras)
    if error.status_code == 404:
        return no_route(method, path, form)
    refusal = wrong_method(method, path) if error.status_code == 405 else ApiError(error.status_code, error.detail)
    return JSONResponse(form.body(refusal), refusal.status, error.headers)


async def _bug(request: Request, error: Exception) -> Response:
    log.error("the emulator has a bug: %s %s", request.method, request.url.path, exc_info=error)
    refusal = ApiError(500, f"The emulator has a bug: {error!r}", type="server_error")
    return JSONResponse(refusal.body(), 500)


class ResponseHeaders:
    """Adds x-request-id and openai-processing-ms to every response."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                took = f"{(time.perf_counter() - began) * 1000:.0f}"
                message["headers"] += [
                    (b"x-request-id", new_id("req").encode()),
                    (b"openai-processing-ms", took.encode()),
                ]
            await send(message)

        await self.app(scope, receive, with_headers)
