"""Faults: which requests are affected, and what happens to them."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from starlette.responses import HTMLResponse, JSONResponse, Response

from threadmill_emulator.errors.api_error import ApiError, wrong_key
from threadmill_emulator.errors.forms import OPENAI, Form

Rate = Annotated[float, Field(ge=0, le=1)]
PAGE = "<!doctype html><title>Sign in</title><p>Please sign in to this network first."

#: Status, type, code and message of the errors of OpenAI.
ERRORS = {
    "error_500": (
        500,
        "server_error",
        None,
        "The server had an error while processing your request. Sorry about that!",
    ),
    "error_503": (
        503,
        "service_unavailable_error",
        "server_is_overloaded",
        "The server is currently overloaded with other requests. Sorry about that!",
    ),
    "rate_limit_429": (
        429,
        "invalid_request_error",
        "rate_limit_exceeded",
        "You've exceeded the rate limit, please slow down and try again later.",
    ),
}


def _names(value: object) -> object:
    return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value


class FaultPlan(BaseModel):
    """The rate of each fault, from 0 to 1. A request has at most one fault."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    drop_before: Rate = 0.0  #: close the connection without acting
    drop_after: Rate = 0.0  #: act, then close the connection without an answer
    error_500: Rate = 0.0
    error_503: Rate = 0.0
    plain_500: Rate = 0.0  #: a 500 whose body is plain text, not JSON
    rate_limit_429: Rate = 0.0
    unauthorised: Rate = 0.0
    html: Rate = 0.0  #: 200 with a web page, as from a captive portal, without acting
    malformed: Rate = 0.0  #: act, then answer 200 with JSON cut off in the middle
    slow: Rate = 0.0  #: act only after slow_s

    slow_s: float = Field(5.0, ge=0)
    retry_after_s: float | None = Field(1.0, ge=0)  #: Retry-After of a 429; null sends none
    only: Annotated[frozenset[str], BeforeValidator(_names)] = frozenset()  #: route names; empty: all routes
    times: int | None = Field(None, ge=0)  #: the largest number of faults


SETTINGS = frozenset({"slow_s", "retry_after_s", "only", "times"})
KINDS = tuple(name for name in FaultPlan.model_fields if name not in SETTINGS)


class Faults:
    def __init__(self, plan: FaultPlan, seed: int) -> None:
        self._dice = random.Random(seed)
        self.use(plan)

    def use(self, plan: FaultPlan) -> None:
        """Replaces the plan and resets the count for `times`."""
        self.plan = plan
        self.injected: Counter[str] = Counter()
        self._rates = [(kind, rate) for kind in KINDS if (rate := getattr(plan, kind))]

    async def around(self, route: str, act: Callable[[], Awaitable[Response]], form: Form = OPENAI) -> Response | None:
        """Returns the reply to a request, or None if the connection must be closed without a reply."""
        fault = self._strike(route) if self._rates else None
        match fault:
            case None:
                return await act()
            case "drop_before":
                return None
            case "drop_after":
                await act()
                return None
            case "slow":
                await asyncio.sleep(self.plan.slow_s)
                return await act()
            case "malformed":
                answer = await act()
                return Response(bytes(answer.body)[: len(answer.body) // 2], media_type=answer.media_type)
            case "html":
                return HTMLResponse(PAGE)
            case "plain_500":
                return Response("Internal Server Error", 500, media_type="text/plain")
            case _:
                error = self._error(fault)
                return JSONResponse(form.body(error), error.status, error.headers)

    def _strike(self, route: str) -> str | None:
        plan = self.plan
        if plan.only and route not in plan.only:
            return None
        if plan.times is not None and self.injected.total() >= plan.times:
            return None
        for kind, rate in self._rates:
            if self._dice.random() < rate:
                self.injected[kind] += 1
                return kind
        return None

    def _error(self, fault: str) -> ApiError:
        if fault == "unauthorised":
            return wrong_key("sk-emulated-fault")
        status, type, code, message = ERRORS[fault]
        after = self.plan.retry_after_s if fault == "rate_limit_429" else None
        headers = {} if after is None else {"Retry-After": f"{after:g}"}
        return ApiError(status, message, type=type, code=code, headers=headers)
