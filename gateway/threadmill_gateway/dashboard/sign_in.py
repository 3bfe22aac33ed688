"""`/login`, `/logout` and the files that all pages load."""

from importlib import resources
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import RedirectResponse, Response

from threadmill_gateway.dashboard.page import Acting, Anybody
from threadmill_gateway.dashboard.session import COOKIE, check_origin, sign_in
from threadmill_gateway.problems import Problem

router = APIRouter(include_in_schema=False)

_STATIC = {"style.css": "text/css", "live.js": "text/javascript", "icon.svg": "image/svg+xml"}


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
    try:
        session = await sign_in(page.gateway, str(form.get("key", "")))
    except Problem as problem:
        reason = problem.body.detail

        async def load() -> dict[str, str]:
            return {"back_to": back_to, "reason": reason}

        return await page.show("login.html", load, status=problem.status)
    response = RedirectResponse(page.url(_own_path(back_to)), 303)
    session.set_cookie(page.request, response)
    return response


@router.post("/logout")
async def close_session(page: Acting) -> Response:
    assert page.session is not None
    token = page.session.token
    await page.gateway.client.call(lambda client: client.store.end_session(token))
    response = page.done("signed out", "the dashboard", back_to="/login")
    response.delete_cookie(COOKIE, path=page.gateway.options.root_path or "/")
    return response


@router.get("/static/{name}")
async def static(name: str) -> Response:
    if name not in _STATIC:
        return Response(status_code=404)
    content = (resources.files(__package__) / "static" / name).read_bytes()
    headers = {"Cache-Control": "max-age=300", "X-Content-Type-Options": "nosniff"}
    return Response(content, headers=headers, media_type=_STATIC[name])


def _own_path(path: str) -> str:
    """Returns a path of this site; the first page in place of an address elsewhere (//host, https://host)."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) else "/"
