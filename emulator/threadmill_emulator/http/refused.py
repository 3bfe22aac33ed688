"""Error replies, in the form of the server."""

from starlette.responses import JSONResponse, PlainTextResponse, Response

from threadmill_emulator.errors.api_error import ApiError
from threadmill_emulator.errors.forms import Form


def refused(error: ApiError, form: Form) -> Response:
    return JSONResponse(form.body(error), error.status, error.headers)


def no_route(method: str, path: str, form: Form) -> Response:
    """Returns the reply to a request for a path that the server does not have."""
    body = form.no_route(method, path)
    return PlainTextResponse(body, 404) if isinstance(body, str) else JSONResponse(body, 404)
