"""The error reply to a request whose run has failed."""

from threadmill_emulator.errors.api_error import ApiError
from threadmill_emulator.runs.run import Run

#: HTTP status of a request that fails with the code.
STATUS_OF = {"rate_limit_exceeded": 429, "invalid_prompt": 400}


def failure(run: Run) -> ApiError:
    code, message = run.script.error or ("server_error", f"The response was {run.status}.")
    status = STATUS_OF.get(code, 500)
    return ApiError(status, message, type="server_error" if status == 500 else code, code=code)
