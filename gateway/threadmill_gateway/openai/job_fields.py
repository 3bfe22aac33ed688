"""What requests for responses and for chat completions have in common: fields of a job, and their names. PURE."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from threadmill.job.lanes import PRIORITY
from threadmill.job.model import explain
from threadmill.job.prompt import PromptJob
from threadmill.job.result import JobResult
from threadmill.settings.settings import Settings
from threadmill_gateway.openai.errors import ApiError
from threadmill_gateway.openai.fields import Fields
from threadmill_gateway.openai.tools import read_choice, read_tools

#: The parameters that a job has under another name.
NAMES: dict[str, str] = {
    "endpoint": "model",
    "profile": "model",
    "assistant": "model",
    "lane": "service_tier",
    "service_tier": "service_tier",
    "key": "Idempotency-Key",
}


def job_with(fields: Mapping[str, Any], params: Mapping[str, str]) -> PromptJob:
    """Returns a job with these fields; None: the default. Raises ApiError, which names the parameter."""
    try:
        return PromptJob.model_validate({name: value for name, value in fields.items() if value is not None})
    except ValidationError as error:
        where = error.errors()[0]["loc"]
        field = str(where[0]) if where else None
        param = params.get(field, field) if field else None
        raise ApiError(400, explain(error), param=param, code="invalid_value") from None


def shared_fields(fields: Fields, settings: Settings, endpoint: str) -> dict[str, Any]:
    """Returns the fields that both APIs have under the same name; None: the request lacks it. Raises ApiError."""
    return {
        "temperature": fields.number("temperature"),
        "top_p": fields.number("top_p"),
        "parallel_tool_calls": fields.flag("parallel_tool_calls"),
        "metadata": fields.mapping("metadata") or {},
        "tools": read_tools(fields.objects("tools"), settings, settings.endpoints[endpoint]),
        "tool_choice": read_choice(fields.any("tool_choice"), "tool_choice"),
        "stream": fields.flag("stream") or False,
        **_tier_of(fields),
    }


def _tier_of(fields: Fields) -> dict[str, Any]:
    """Returns the fields that `service_tier` means. `auto` and `default` are the usual price."""
    match fields.any("service_tier"):
        case None | "auto" | "default":
            return {}
        case "flex":
            return {"lane": "flex"}
        case "priority" | "fast":  # two names of the same tier
            return {"service_tier": PRIORITY}
        case _:
            raise fields.refusal("service_tier", "use auto, default, flex or priority")


def tier_shown(job: PromptJob, result: JobResult | None) -> str:
    """Returns the `service_tier` of a reply: what the server used; before that, what the request asked for."""
    tier = result.lane or result.service_tier if result is not None else job.priced_as
    return tier if tier in ("flex", PRIORITY) else "default"
