"""The steps that all routes share: checking key and beta header, reading JSON, applying errors and faults."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import from_json
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from threadmill_emulator.errors.api_error import ApiError, no_beta, no_key, not_json, wrong_key, wrong_method
from threadmill_emulator.errors.forms import Form, form_of
from threadmill_emulator.errors.refusals import Parsed, parse
from threadmill_emulator.http.abort import hang_up
from threadmill_emulator.http.emulator import Emulator
from threadmill_emulator.http.refused import no_route, refused
from threadmill_emulator.limits.account import Account
from threadmill_emulator.state.server_state import ServerState

DAVINCI_PATH = "/api/assts/v1"
AZURE_V1_PATH = "/openai/v1"
AZURE_PATH = "/openai"  #: the base path of the openai package's AzureOpenAI, which sends the key in `api-key`


@dataclass
class Call:
    """A request with the emulator that it reached."""

    emulator: Emulator
    request: Request
    data: bytes
    account: Account | None = None  #: whose limits the request was charged to
    ending: ExitStack = field(default_factory=ExitStack)  #: what happens when the request is over, answered or not

    @property
    def state(self) -> ServerState:
        return self.emulator.state

    @property
    def form(self) -> Form:
        """The form of the server's errors."""
        return form_of(self.emulator.options.extras)

    @property
    def query(self) -> Mapping[str, str]:
        return self.request.query_params

    @property
    def key(self) -> str:
        headers = self.request.headers
        return (headers.get("authorization") or headers.get("api-key", "")).removeprefix("Bearer").strip()

    def charge(self, model: str, tokens: int, *, begins: bool = True) -> Callable[[str], None]:
        """Charges a call that starts or continues a run or a response. Raises ApiError (429) if a limit is exceeded.

        `begins`: it is one more in flight. Returns what must be called with the id of the run or response.
        """
        limiter = self.emulator.limiter
        account = self.account = limiter.account(self.key, model)
        limiter.charge_start(account, model, tokens, begins=begins)
        return lambda id: limiter.started(account, id, tokens)

    def charge_request(self) -> None:
        """Charges a call of any kind. Raises ApiError (429) if a limit is exceeded."""
        limiter = self.emulator.limiter
        self.account = limiter.account(self.key, "")
        limiter.charge_request(self.account)

    def id(self, name: str) -> str:
        return str(self.request.path_params[name])

    def json(self) -> Any:
        try:
            return from_json(self.data or b"{}", allow_inf_nan=False)
        except ValueError:
            raise not_json() from None

    def body(self, model: type[Parsed], *, ignores_unknown: bool = False) -> Parsed:
        """`ignores_unknown`: fields that the model does not have are ignored."""
        takes_data_urls = self.request.scope["root_path"] == DAVINCI_PATH or self.emulator.options.data_urls
        context = {"data_urls": takes_data_urls}
        return parse(model, self.json(), context, ignores_unknown=ignores_unknown)


Reply = dict[str, Any] | Response
Handler = Callable[[Call], Awaitable[Reply]]


@dataclass(frozen=True)
class Endpoint:
    """The ASGI application of a route; `name` identifies the route in statistics and faults."""

    name: str
    handler: Handler
    beta: bool

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        emulator: Emulator = request.app.state.emulator
        try:
            call = Call(emulator, request, await request.body())
        except ClientDisconnect:
            return
        emulator.state.stats.calls[self.name] += 1
        if emulator.options.latency_s:
            await asyncio.sleep(emulator.options.latency_s)
        with call.ending:
            try:
                response = await emulator.faults.around(self.name, lambda: self._once(call), call.form)
            except ClientDisconnect:
                return
            if response is None:
                await hang_up(scope, receive)
                return
            if response.status_code >= 400:
                emulator.state.stats.refused[response.status_code] += 1
            await response(scope, receive, send)

    async def _once(self, call: Call) -> Response:
        key, emulator = call.request.headers.get("idempotency-key"), call.emulator
        if key is None or call.request.method != "POST" or "idempotency_keys" not in emulator.options.extras:
            return await self._answer(call)
        return await emulator.replays.once(key, (call.request.url.path, call.data), lambda: self._answer(call))

    async def _answer(self, call: Call) -> Response:
        if not call.emulator.options.serves(self.name):
            return no_route(call.request.method, call.request.url.path, call.form)
        try:
            self._admit(call)
            reply = await self.handler(call)
        except ApiError as error:
            if error.status == 404 and call.request.path_params.get("thread_id") in call.state.plain_error_threads:
                return PlainTextResponse("Internal Server Error", 500)
            reply = refused(error, call.form)
        response = reply if isinstance(reply, Response) else JSONResponse(reply)
        if call.account:
            response.headers.update(call.emulator.limiter.headers(call.account, self.name))
        return response

    def _admit(self, call: Call) -> None:
        request = call.request
        if request.method == "DELETE" and "no_delete" in call.emulator.options.extras:
            raise wrong_method(request.method, request.url.path)
        wanted = call.emulator.options.api_key
        if not call.key:
            raise no_key()
        if wanted is not None and call.key != wanted:
            raise wrong_key(call.key)
        if self.beta and "assistants=v2" not in request.headers.get("openai-beta", ""):
            raise no_beta()
        if call.emulator.limiter.limits.count_all:
            call.charge_request()


def route(method: str, path: str, name: str, handler: Handler, *, beta: bool = True) -> Route:
    return Route(path, Endpoint(name, handler, beta), methods=[method], name=name)
