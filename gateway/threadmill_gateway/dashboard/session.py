"""Who looks at the pages. Signing in with an API key that has the scope `operate` begins a session, kept in a cookie.

While there are no API keys, everybody on this machine may see and do everything, as in the API.
"""

import hmac
import secrets
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from threadmill.job.api_key import ApiKey, Scope
from threadmill_gateway.requests.callers import Caller, check_host
from threadmill_gateway.requests.problems import Problem
from threadmill_gateway.requests.state import Gateway

COOKIE = "threadmill_session"

#: So long after signing in, one has to sign in again.
LIFE_S = 12 * 3600

#: The field of a form that a page of another site cannot know.
CSRF_FIELD = "csrf"


class SignInNeeded(Exception):
    """The caller has no session, or it has ended."""


@dataclass(frozen=True)
class Session:
    """`token`: what the cookie holds. `is_new`: the cookie has yet to be set."""

    caller: Caller
    token: str
    is_new: bool = False

    @property
    def csrf(self) -> str:
        return hmac.new(self.token.encode(), b"csrf", sha256).hexdigest()

    def set_cookie(self, request: Request, response: Response) -> None:
        response.set_cookie(
            COOKIE,
            self.token,
            path=request.scope.get("root_path") or "/",
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="lax",
        )


async def session_of(request: Request, gateway: Gateway) -> Session:
    """Returns the session of a request. Raises SignInNeeded and Problem."""
    token = request.cookies.get(COOKIE)
    if gateway.options.open_without_keys and await gateway.keys.is_empty():
        check_host(request)
        return Session(Caller(), token or secrets.token_urlsafe(), is_new=token is None)
    key_id = await gateway.client.call(lambda client: client.store.key_of_session(token)) if token else None
    key = await gateway.keys.valid_key(key_id) if key_id else None
    if token is None or key is None or Scope.OPERATE not in key.scopes:
        raise SignInNeeded
    return Session(Caller(key), token)


async def sign_in(gateway: Gateway, text: str) -> Session:
    """Begins a session with the text of an API key. Raises Problem if it is not valid or lacks the scope."""
    key = await gateway.keys.key_of(text.strip())
    _check_scope(key)
    token = secrets.token_urlsafe()
    await gateway.client.call(lambda client: client.store.begin_session(token, key.id, LIFE_S))
    return Session(Caller(key), token, is_new=True)


def _check_scope(key: ApiKey) -> None:
    if Scope.OPERATE not in key.scopes:
        raise Problem(
            HTTPStatus.FORBIDDEN,
            f"the API key {key.name} lacks the scope `operate`, and the pages show the jobs of all callers",
            "use a key made with `threadmill keys create NAME --scopes operate,read,enqueue`",
        )


def check_origin(request: Request) -> None:
    """Raises Problem if a page of another site has sent a form.

    Browsers say so in Sec-Fetch-Site, if they reach the gateway by HTTPS or on this machine; else in Origin. No page
    can change these headers, and a form without both comes from no browser, which has no cookie.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        is_own = site in ("same-origin", "none")
    else:
        scheme, _, host = request.headers.get("Origin", "").partition("://")
        is_own = not scheme or host == request.headers.get("Host")
    if not is_own:
        raise _refused("a page of another site sent this form")


def check_form(session: Session, shown: object) -> None:
    """Raises Problem if a form lacks the token of the session."""
    is_text = isinstance(shown, str) and shown.isascii()
    if not is_text or not hmac.compare_digest(str(shown), session.csrf):
        raise _refused("this form belongs to another session")


def _refused(reason: str) -> Problem:
    return Problem(HTTPStatus.FORBIDDEN, reason, "load the page again, and repeat what you did")
