"""The parameters of routes: `Page` shows something, `Acting` changes something."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated

import structlog
from fastapi import Depends
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from threadmill.secrets.redaction import redact
from threadmill_gateway.dashboard.session import CSRF_FIELD, check_form, check_origin, session_of
from threadmill_gateway.dashboard.shown_page import RELOAD, ShownPage, asks_for_events, events
from threadmill_gateway.requests.problems import Problem
from threadmill_gateway.requests.state import Gateway, Served

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class SentPage(ShownPage):
    """An action of somebody who may act; `form`: what was sent."""

    form: FormData

    def done(self, what: str, on: str, *, back_to: str) -> Response:
        """Logs the action, and shows a page. `what`: as in "paused batch"; `on`: the name of what was changed."""
        assert self.session is not None
        address = self.request.client.host if self.request.client else None
        log.info("dashboard", action=what, on=redact(on), who=self.session.caller.name or "anybody", address=address)
        return RedirectResponse(self.url(back_to), HTTPStatus.SEE_OTHER)


async def _page(request: Request, gateway: Served) -> ShownPage:
    request.state.session = session = await session_of(request, gateway)  # a page about an error shows who is here
    return ShownPage(request, gateway, session)


async def _sent(request: Request, gateway: Served) -> AsyncIterator[SentPage]:
    check_origin(request)
    request.state.session = session = await session_of(request, gateway)
    async with request.form() as form:  # files that were sent are deleted after the request
        check_form(session, form.get(CSRF_FIELD))
        yield SentPage(request, gateway, session, form)


async def _acting(acting: Annotated[SentPage, Depends(_sent)]) -> SentPage:
    if acting.is_read_only:
        raise Problem(
            HTTPStatus.FORBIDDEN, "these pages are read-only", "use the command line, or a gateway that is not"
        )
    return acting


async def _anybody(request: Request, gateway: Served) -> ShownPage:
    return ShownPage(request, gateway, None)


def error_page(request: Request, gateway: Gateway, problem: Problem) -> Response:
    """Returns a problem as a page. A reader of events whose page is no more what it was loads it again."""
    if asks_for_events(request) and problem.status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return events([RELOAD])
    return ShownPage(request, gateway, getattr(request.state, "session", None)).error(problem)


def sign_in_page(request: Request, gateway: Gateway) -> Response:
    """Leads to the page of the sign-in, and from there back to the page that was asked for."""
    if asks_for_events(request):
        return events([RELOAD])
    page = ShownPage(request, gateway, None)
    back_to = page.here().removeprefix(gateway.options.root_path) if request.method == "GET" else None
    return RedirectResponse(page.url("/login", next=back_to), HTTPStatus.SEE_OTHER)


#: The parameter of a route that shows a page, of one that changes something, of one that ends a session, and of one for
#: people without a session.
Page = Annotated[ShownPage, Depends(_page)]
Acting = Annotated[SentPage, Depends(_acting)]
Leaving = Annotated[SentPage, Depends(_sent)]
Anybody = Annotated[ShownPage, Depends(_anybody)]
