"""The forms in which servers write their errors."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from threadmill_emulator.errors.api_error import ApiError, no_url


@dataclass(frozen=True)
class Form:
    body: Callable[[ApiError], Any]
    no_route: Callable[[str, str], Any]  #: the body of a 404 for this method and path; a string is plain text


def _vllm(error: ApiError) -> Any:
    types = {400: "BadRequestError", 401: "Unauthorized", 404: "NotFoundError", 429: "TooManyRequestsError"}
    kind = types.get(error.status, "InternalServerError")
    return {"error": {"message": error.message, "type": kind, "param": error.param, "code": error.status}}


def _llama(error: ApiError) -> Any:
    types = {400: "invalid_request_error", 401: "authentication_error", 404: "not_found_error"}
    kind = types.get(error.status, "unavailable_error" if error.status == 503 else "server_error")
    return {"error": {"code": error.status, "message": error.message, "type": kind}}


def _ollama(error: ApiError) -> Any:
    kind = {400: "invalid_request_error", 404: "not_found_error"}.get(error.status, "api_error")
    return {"error": {"message": error.message, "type": kind, "param": None, "code": None}}


def _google(error: ApiError) -> Any:
    return [
        {"error": {"code": error.status, "message": error.message, "status": _GOOGLE.get(error.status, "INTERNAL")}}
    ]


def _detail(error: ApiError) -> Any:
    return {"detail": error.message}


_GOOGLE = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
}
_FASTAPI = {"detail": "Not Found"}

OPENAI = Form(ApiError.body, lambda method, path: no_url(method, path).body())
#: Form of a server that has the quirk.
FORMS: Mapping[str, Form] = {
    "detail_errors": Form(_detail, lambda method, path: _FASTAPI),
    "vllm_errors": Form(_vllm, lambda method, path: _FASTAPI),
    "llama_errors": Form(_llama, lambda method, path: _llama(ApiError(404, "File Not Found"))),
    "ollama_errors": Form(_ollama, lambda method, path: "404 page not found"),
    "google_errors": Form(_google, lambda method, path: _google(no_url(method, path))),
}


def form_of(quirks: Collection[str]) -> Form:
    """Returns the form of a server with these quirks."""
    return next((form for quirk, form in FORMS.items() if quirk in quirks), OPENAI)
