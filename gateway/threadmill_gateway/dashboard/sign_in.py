"""`/login`, `/logout` and the files that all pages load."""

import math
from http import HTTPStatus
from typing import Annotated

import structlog
from fastapi import APIRouter, Query
from starlette.responses import RedirectResponse, Response

from threadmill_gateway.dashboard.page import Anybody, Leaving
from threadmill_gateway.dashboard.session import COOKIE, Session, check_origin, sign_in
from threadmill_gateway.dashboard.sign_in_brake import SignInBrake
from threadmill_gateway.dashboard.static_files import file_of
from threadmill_gateway.requests.problems import Problem
from threadmill_gateway.requests.state import Gateway

log = structlog.get_logger(__name__)

router = APIRouter(include_in_schema=False)

_YEAR_S = 31_536_000


@router.get("/login")
async def login(page: Anybody, back_to: Annotated[str, Query(alias="next")] = "/") -> Response:
    async def load() -> dict[str, str]:
        return {"back_to": back_to, "reason": ""}

    return await page.show("login.html", load)


@router.post("/login")
async def open_session(page: Anybody) -> Response:
    check_origin(page.request)
    form = await page.request.form()
    back_to = str(form.get("next", "/"))
    address = page.request.client.host if page.request.client else ""
    try:
        session = await _opened(page.gateway, page.request.app.state.sign_in_brake, address, str(form.get("key", "")))
    except Problem as problem:
        reason = problem.body.detail

        async def load() -> dict[str, str]:
            return {"back_to": back_to, "reason": reason}

        shown = await page.show("login.html", load, status=problem.status)
        if "Retry-After" in problem.headers:
            shown.headers["Retry-After"] = problem.headers["Retry-After"]
        return shown
    response = RedirectResponse(page.url(_own_path(back_to)), HTTPStatus.SEE_OTHER)
    session.set_cookie(page.request, response)
    return response


@router.post("/logout")
async def close_session(page: Leaving) -> Response:
    assert page.session is not None
    token = page.session.token
    await page.gateway.client.call(lambda client: client.store.end_session(token))
    response = page.done("signed out", "the dashboard", back_to="/login")
    response.delete_cookie(COOKIE, path=page.gateway.options.root_path or "/")
    return response


@router.get("/static/{name}")
async def static(name: str, v: str = "") -> Response:
    try:
        file = file_of(name)
    except KeyError:
        return Response(status_code=HTTPStatus.NOT_FOUND)
    kept = f"public, max-age={_YEAR_S}, immutable" if v == file.version else "no-cache"
    headers = {
        "Cache-Control": kept,
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    return Response(file.content, headers=headers, media_type=file.media_type)


async def _opened(gateway: Gateway, brake: SignInBrake, address: str, key: str) -> Session:
    """Begins a session. Raises Problem, also for a right key while its address has tried too many wrong ones."""
    wait_s = math.ceil(brake.wait_s(address))
    if wait_s:
        raise Problem(
            HTTPStatus.TOO_MANY_REQUESTS,
            "too many wrong keys came from your address; try again in a minute",
            headers={"Retry-After": str(wait_s)},
        )
    try:
        session = await sign_in(gateway, key)
    except Problem as problem:
        brake.count(address)
        log.warning("sign-in refused", address=address, reason=problem.body.detail)
        raise
    log.info("dashboard", action="signed in", who=session.caller.name, address=address)
    return session


def _own_path(path: str) -> str:
    """Returns a path of this site; the first page in place of an address elsewhere (//host, https://host)."""
    is_own = path.startswith("/") and path.isprintable() and not path.startswith(("//", "/\\"))
    return path if is_own else "/"
