"""A page: shows a template, and parts of it again when they have changed."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse

from threadmill.errors import StoreUnavailable, ThreadmillError
from threadmill_gateway.dashboard import rendering
from threadmill_gateway.dashboard.language import LANGUAGES, chosen
from threadmill_gateway.dashboard.session import Session, SignInNeeded, session_of
from threadmill_gateway.dashboard.static_files import file_of
from threadmill_gateway.requests.callers import Caller
from threadmill_gateway.requests.problems import Problem
from threadmill_gateway.requests.state import Gateway

#: Reads what a template shows.
Load = Callable[[], Awaitable[Mapping[str, Any]]]

#: Pages load nothing from elsewhere, and no text in them can become a script.
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "frame-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

#: Has the script load the page again.
RELOAD = "event: reload\ndata: \n\n"

_LANGUAGE_COOKIE = "threadmill_language"


@dataclass(frozen=True)
class ShownPage:
    request: Request
    gateway: Gateway
    session: Session | None  #: None: the page of the sign-in

    @property
    def language(self) -> str:
        """The language that the address names, or the last one that was chosen, or the browser's."""
        asked = self.request.query_params.get("lang") or self.request.cookies.get(_LANGUAGE_COOKIE)
        return chosen(asked, self.request.headers.get("Accept-Language", ""))

    @property
    def is_read_only(self) -> bool:
        return self.gateway.options.read_only or self.gateway.settings.dashboard.read_only

    @property
    def redacts(self) -> bool:
        """Whether prompts and answers are hidden."""
        return self.gateway.settings.dashboard.redact

    @property
    def path(self) -> str:
        """The path of the page, without the one under which a proxy publishes the gateway."""
        return path_of(self.request)

    @property
    def viewer(self) -> Caller:
        """Who looks at the page."""
        return self.session.caller if self.session else Caller()

    def check_content(self, what: str) -> None:
        """Raises Problem if these pages hide what users and models wrote. `what`: for the message, in the plural."""
        if self.redacts:
            raise Problem(
                HTTPStatus.FORBIDDEN, f"these pages hide {what}", "set `redact` in [dashboard], or use the command line"
            )

    def url(self, path: str, **query: Any) -> str:
        """Returns the address of a page. Parameters that are None are left out."""
        given = {name: value for name, value in query.items() if value is not None}
        return self.gateway.options.root_path + path + (f"?{urlencode(given)}" if given else "")

    def url_of(self, room: str, name: str) -> str:
        """Returns the address of the page of a thing, whatever its name."""
        return self.url(f"{room}/{quote(name, safe='')}")

    def here(self, **query: Any) -> str:
        """Returns the address of this page with other parameters. Those that are None are left out."""
        return self.url(self.path, **{**self.request.query_params, **query})

    def static(self, name: str) -> str:
        """Returns the address of a file of `static/`; it names the version, so that browsers may keep the file."""
        return self.url(f"/static/{name}", v=file_of(name).version)

    async def show(
        self,
        template: str,
        load: Load,
        *,
        every_s: float = 1.0,
        status: int = 200,
        close: Callable[[], None] = lambda: None,
    ) -> Response:
        """Shows a template. A browser that asks for events receives its live blocks again when they have changed.

        `every_s`: how often `load` is called then. `close`: called when the page is no longer read.
        """
        if self.session is not None and asks_for_events(self.request):
            return events(self._read(template, load, every_s, close))
        try:
            return self._response(template, await load(), status)
        finally:
            close()

    def error(self, problem: Problem) -> Response:
        body = problem.body
        found = self._response("error.html", {"problem": body, "title": body.title}, problem.status)
        found.headers.update({name: value for name, value in problem.headers.items() if name != "WWW-Authenticate"})
        return found

    def _response(self, template: str, variables: Mapping[str, Any], status: int) -> Response:
        shown = {**self._common(template), **variables}
        response = HTMLResponse(rendering.render(self.language, template, shown), status, _HEADERS)
        if self.session is not None and self.session.is_new:
            self.session.set_cookie(self.request, response)
        if self.request.query_params.get("lang") in LANGUAGES:
            response.set_cookie(_LANGUAGE_COOKIE, self.language, max_age=31536000, samesite="lax", httponly=True)
        return response

    def _common(self, template: str) -> dict[str, Any]:
        """Returns the variables that all templates have."""
        return {
            "url": self.url,
            "url_of": self.url_of,
            "static": self.static,
            "here": self.here,
            "path": self.path,
            "language": self.language,
            "languages": LANGUAGES,
            "may_see": self.session is not None,
            "csrf": self.session.csrf if self.session else "",
            "who": self.session.caller.name if self.session else None,
            "is_signed_in": self.session is not None and self.session.caller.key is not None,
            "may_act": self.session is not None and not self.is_read_only,
            "read_only": self.is_read_only,
            "redacts": self.redacts,
            "is_live": rendering.is_live(template),
        }

    async def _read(self, template: str, load: Load, every_s: float, close: Callable[[], None]) -> AsyncIterator[str]:
        """Yields the events of an open page. Its reader may leave at any time."""
        try:
            async for event in self._changes(template, load, every_s):
                yield event
        finally:
            close()

    async def _changes(self, template: str, load: Load, every_s: float) -> AsyncIterator[str]:
        """Yields events: a block that has changed, or `reload` if the page is no more what it was."""
        sent: dict[str, str] = {}
        yield "retry: 2000\n\n"
        while not self.gateway.stopping.is_set():
            try:
                await session_of(self.request, self.gateway)  # its key may have been revoked
                variables = {**self._common(template), **await load()}
            except StoreUnavailable:
                yield "event: away\ndata: \n\n"
            except (ThreadmillError, Problem, SignInNeeded):
                yield RELOAD
                return
            else:
                for name, html in rendering.live_blocks(self.language, template, variables):
                    if sent.get(name) != html:
                        sent[name] = html
                        yield f"event: block\ndata: {json.dumps({'id': name, 'html': html})}\n\n"
                yield "event: alive\ndata: \n\n"  # a reader that has gone is noticed
            with suppress(TimeoutError):
                await asyncio.wait_for(self.gateway.stopping.wait(), every_s)


def path_of(request: Request) -> str:
    """Returns the path of a request, without the one under which a proxy publishes the gateway."""
    path, root = str(request.scope["path"]), str(request.scope.get("root_path", ""))
    return path.removeprefix(root) if path.startswith(f"{root}/") else path


def asks_for_events(request: Request) -> bool:
    """Whether the request comes from the script of a page that is open."""
    return "text/event-stream" in request.headers.get("Accept", "")


def events(content: AsyncIterator[str] | Iterable[str]) -> Response:
    return StreamingResponse(content, 200, _HEADERS | {"X-Accel-Buffering": "no"}, "text/event-stream")
