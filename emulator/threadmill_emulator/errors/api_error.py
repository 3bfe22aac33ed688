"""Error replies, with the texts of the public servers; clients parse some of these texts."""

from collections.abc import Iterable
from typing import Any


class ApiError(Exception):
    """An error reply; `body()` is its JSON."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, headers or {}
        self.type, self.param, self.code = type, param, code

    def body(self) -> dict[str, Any]:
        error = {"message": self.message, "type": self.type, "param": self.param, "code": self.code}
        return {"error": error}


def no_key() -> ApiError:
    return ApiError(
        401,
        "You didn't provide an API key. You need to provide your API key in an Authorization header using "
        "Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
    )


def wrong_key(key: str) -> ApiError:
    masked = f"{key[:4]}{'*' * max(4, len(key) - 8)}{key[-4:]}" if len(key) > 12 else "*" * len(key)
    return ApiError(401, f"Incorrect API key provided: {masked}.", code="invalid_api_key")


def no_beta() -> ApiError:
    return ApiError(
        400,
        "You must provide the 'OpenAI-Beta' header to access the Assistants API. Please try again by "
        "setting the header 'OpenAI-Beta: assistants=v2'.",
        code="invalid_beta",
    )


def not_found(kind: str, id: str) -> ApiError:
    return ApiError(404, f"No {kind} found with id '{id}'.")


def no_file(id: str) -> ApiError:
    return ApiError(404, f"No such File object: {id}", param="id")


def no_referenced_file(id: str, param: str) -> ApiError:
    """Returns the error for a missing file that a body names: a 400, as a 404 would mean that the thread is missing."""
    return ApiError(400, f"No such File object: {id}", param=param, code="invalid_value")


def no_referenced_store(id: str, param: str) -> ApiError:
    return ApiError(400, f"No vector store found with id '{id}'.", param=param, code="invalid_value")


def unsupported_by_tool(extension: str, tool: str, supported: Iterable[str], param: str) -> ApiError:
    known = ", ".join(f".{each}" for each in sorted(supported))
    message = (
        f"Invalid file format. Files with extensions [.{extension}] are not supported for {tool}. "
        f"Supported file types include: [{known}]."
    )
    return ApiError(400, message, param=param, code="unsupported_file")


def invalid_extension(extension: str, supported: Iterable[str]) -> ApiError:
    known = ", ".join(f'"{each}"' for each in sorted(supported))
    message = f"Invalid extension {extension}. Supported formats: {known}"
    return ApiError(400, message, param="file", code="unsupported_file")


def empty_file() -> ApiError:
    return ApiError(400, "File is empty.", param="file", code="invalid_value")


def no_url(method: str, path: str) -> ApiError:
    return ApiError(404, f"Invalid URL ({method} {path})")


def wrong_method(method: str, path: str) -> ApiError:
    message = f"Not allowed to {method} on {path}. (HINT: Perhaps you meant to use a different HTTP method?)"
    return ApiError(405, message, code="method_not_supported")


def not_json() -> ApiError:
    return ApiError(
        400,
        "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your "
        "HTTP library correctly. The server expects a JSON payload, but what was sent was not valid JSON.)",
    )


def missing(param: str) -> ApiError:
    message = f"Missing required parameter: '{param}'."
    return ApiError(400, message, param=param, code="missing_required_parameter")


def unknown_parameter(param: str) -> ApiError:
    return ApiError(400, f"Unknown parameter: '{param}'.", param=param, code="unknown_parameter")


def locked_for_messages(thread_id: str, run_id: str) -> ApiError:
    return ApiError(400, f"Can't add messages to {thread_id} while a run {run_id} is active.")


def locked_for_runs(thread_id: str, run_id: str) -> ApiError:
    return ApiError(400, f"Thread {thread_id} already has an active run {run_id}.")


def not_cancellable(status: str) -> ApiError:
    return ApiError(400, f"Cannot cancel run with status '{status}'.")


def takes_no_outputs(status: str) -> ApiError:
    return ApiError(400, f'Runs in status "{status}" do not accept tool outputs.')


def no_late_outputs(status: int) -> ApiError:
    """Returns the error of some servers for tool outputs that the run does not wait for."""
    kind = "invalid_request_error" if status == 404 else "server_error"
    return ApiError(status, "No run waits for tool outputs.", type=kind)


def outputs_mismatch(expected: Iterable[str], got: Iterable[str]) -> ApiError:
    return ApiError(400, f"Expected tool outputs for call_ids {list(expected)}, got {list(got)}")


def no_streaming() -> ApiError:
    message = "This server does not stream: send the request without 'stream'."
    return ApiError(400, message, param="stream", code="unsupported_value")
