"""Idempotency keys: a request repeated with the same key gets the first reply again.

As in draft-ietf-httpapi-idempotency-key-header and Stripe's API, a different request with the same key is an error, and
so is a repetition while the first request is processed. Errors and streams are not stored.
"""

from collections.abc import Awaitable, Callable

from starlette.responses import JSONResponse, Response

from threadmill_emulator.errors.api_error import ApiError
from threadmill_emulator.http.streaming import EventStream

Request = tuple[str, bytes]  #: path and body


class Replays:
    def __init__(self) -> None:
        self._replies: dict[str, tuple[Request, Response | None]] = {}  #: None: the request is being processed

    async def once(self, key: str, request: Request, act: Callable[[], Awaitable[Response]]) -> Response:
        if key in self._replies:
            return self._replay(key, request)
        self._replies[key] = (request, None)
        try:
            response = await act()
        except BaseException:
            del self._replies[key]
            raise
        if response.status_code >= 400 or isinstance(response, EventStream):
            del self._replies[key]
        else:
            self._replies[key] = (request, response)
        return response

    def _replay(self, key: str, request: Request) -> Response:
        first, response = self._replies[key]
        if first != request:
            error = ApiError(400, "This Idempotency-Key was used for another request.", code="idempotency_key_mismatch")
            return JSONResponse(error.body(), error.status)
        if response is None:
            error = ApiError(409, "A request with this Idempotency-Key is in progress.", code="idempotency_key_in_use")
            return JSONResponse(error.body(), error.status)
        return Response(response.body, 200, {"Idempotent-Replayed": "true"}, media_type=response.media_type)
