"""Errors in the form of OpenAI's API: `{"error": {"message", "type", "param", "code"}}`. PURE."""

import re
from collections.abc import Mapping
from typing import Any

from threadmill.errors import InvalidJob, KeyConflict, SettingsError
from threadmill.secrets.redaction import redact_all

#: The field of a job that the library's text begins with.
_FIELD = re.compile(r"`?(\w+)(?:\.\w+)*`?: ")

INVALID = "invalid_request_error"


class ApiError(Exception):
    """A request that cannot be answered as asked; OpenAI's SDKs raise it as the exception of its status."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = INVALID,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error = {"message": message, "type": type, "param": param, "code": code}
        self.headers = dict(headers or {})

    @property
    def body(self) -> dict[str, Any]:
        """The body of the reply, with secrets redacted."""
        return redact_all({"error": self.error})


def unsupported(param: str, reason: str) -> ApiError:
    """Returns the error for a parameter, or a value of it, that no job can have."""
    return ApiError(400, f"Unsupported parameter: '{param}' {reason}", param=param, code="unsupported_parameter")


def invalid(param: str, reason: str) -> ApiError:
    """Returns the error for a parameter of a wrong type or value."""
    return ApiError(400, f"Invalid '{param}': {reason}", param=param, code="invalid_value")


def missing(param: str) -> ApiError:
    """Returns the error for a parameter that the request lacks."""
    message = f"Missing required parameter: '{param}'."
    return ApiError(400, message, param=param, code="missing_required_parameter")


def no_model(name: str, reason: str) -> ApiError:
    """Returns the error for a model that leads to no endpoint."""
    message = f"The model '{name}' does not exist: {reason}"
    return ApiError(404, message, param="model", code="model_not_found")


def not_found(kind: str, id: str) -> ApiError:
    """Returns the error for an object that does not exist, or belongs to another caller."""
    return ApiError(404, f"{kind} with id '{id:.200}' not found.", code="not_found")


def refusal_of(error: InvalidJob | SettingsError | KeyConflict, params: Mapping[str, str]) -> ApiError:
    """Returns the error for a job that the library refuses. `params`: OpenAI's names of the fields of a job."""
    text = str(error)
    match error:
        case KeyConflict():
            return ApiError(422, text, param=params.get("key"), code="idempotency_key_in_use")
        case SettingsError():
            return ApiError(400, text, param="model", code="invalid_value")
        case _:
            field = _FIELD.match(text)
            return ApiError(400, text, param=params.get(field[1], field[1]) if field else None, code="invalid_value")
