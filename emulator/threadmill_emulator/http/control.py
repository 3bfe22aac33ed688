"""The emulator's own routes: statistics, faults, limits, webhooks and reset."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from pydantic import RootModel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from threadmill_emulator.errors.api_error import ApiError
from threadmill_emulator.errors.refusals import parse
from threadmill_emulator.http.emulator import Emulator
from threadmill_emulator.http.endpoint import Call
from threadmill_emulator.http.routes import NAMES
from threadmill_emulator.scripting.faults import FaultPlan
from threadmill_emulator.scripting.limits import Limits
from threadmill_emulator.scripting.webhooks import WebhookPlan
from threadmill_emulator.state.server_state import ServerState


def _emulator(request: Request) -> Emulator:
    emulator: Emulator = request.app.state.emulator
    return emulator


async def stats(request: Request) -> Response:
    query = request.query_params
    return JSONResponse(snapshot(_emulator(request), query.get("by"), "ids" in query))


def snapshot(emulator: Emulator, by: str | None = None, ids: bool = False) -> dict[str, Any]:
    emulator.advance_all()
    state = emulator.state
    counts = state.stats
    completions = state.completions
    counted: dict[str, Any] = {
        "runs": {
            "created": counts.runs_created,
            "active": len(state.active),
            "peak": counts.peak_runs,
            "by_status": _by_status(
                counts.ended, (each.active.status for each in state.active.values() if each.active)
            ),
        },
        "completions": {
            "created": completions.created,
            "active": len(completions.active),
            "peak": completions.peak,
            "most_alike": max(counts.asked.values(), default=0),
            "by_status": _by_status(counts.completions, (each.run.status for each in completions.active.values())),
        },
        "tool_outputs": counts.outputs_summary(),
        "plugin_calls": dict(counts.plugin_calls),
        "calls": dict(counts.calls),
        "refused": {str(status): number for status, number in counts.refused.items()},
        "faults": dict(emulator.faults.injected),
        "limits": emulator.limiter.totals(),
    }
    held = {name: {"alive": len(alive), "created": created} for name, (alive, created) in _holdings(state).items()}
    counted = held | counted
    counted["responses"]["by_status"] = _by_status(
        counts.responses, (each.status for each in state.responses.active.values())
    )
    if by is not None:
        counted["completed_by"] = counts.completed_by(by)
    if ids:
        for name, (alive, _) in _holdings(state).items():
            counted[name]["ids"] = alive
        counted["tool_outputs"]["by_call_id"] = dict(counts.outputs)
    return counted


def _holdings(state: ServerState) -> dict[str, tuple[list[str], int]]:
    """Returns, for each kind of object, the ids that exist and the number of objects created."""
    responses = state.responses
    kinds: dict[str, tuple[Iterable[Any], int]] = {
        "threads": (state.threads.values(), state.stats.threads_created),
        "responses": (responses.all(), responses.created),
        "conversations": (responses.conversations.all(), responses.conversations.created),
        "containers": (responses.containers.all(), responses.containers.created),
        "batches": (state.batches.all(), len(state.batches.all())),
        "files": (state.files.all(), state.files.created),
        "vector_stores": (state.stores.all(), state.stores.created),
    }
    return {name: ([each.id for each in alive], created) for name, (alive, created) in kinds.items()}


def _by_status(ended: Counter[str], active: Iterable[str]) -> dict[str, int]:
    return dict(ended + Counter(active))


async def faults(request: Request) -> Response:
    emulator = _emulator(request)
    if request.method == "POST":
        try:
            plan = parse(FaultPlan, Call(emulator, request, await request.body()).json())
            check_routes(plan)
        except ApiError as error:
            return JSONResponse(error.body(), error.status)
        emulator.faults.use(plan)
    plan_now = emulator.faults.plan.model_dump(mode="json")
    return JSONResponse({**plan_now, "injected": dict(emulator.faults.injected)})


def check_routes(plan: FaultPlan) -> None:
    if unknown := plan.only - NAMES:
        raise ApiError(400, f"Unknown routes: {', '.join(sorted(unknown))}. Known: {', '.join(sorted(NAMES))}.")


async def limits(request: Request) -> Response:
    """Shows the limits and their use. POST changes the limits that its body names; null removes one."""
    emulator = _emulator(request)
    if request.method == "POST":
        try:
            changes = parse(_Changes, Call(emulator, request, await request.body()).json()).root
            emulator.limiter.use(parse(Limits, emulator.limiter.limits.model_dump() | changes))
        except ApiError as error:
            return JSONResponse(error.body(), error.status)
    emulator.advance_all()
    return JSONResponse(emulator.limiter.summary(starts="starts" in request.query_params))


async def webhooks(request: Request) -> Response:
    """Shows where webhooks go, and how many were taken. POST replaces the plan, for what starts from now on."""
    sender = _emulator(request).webhooks
    if request.method == "POST":
        try:
            sender.plan = parse(WebhookPlan, Call(_emulator(request), request, await request.body()).json())
        except ApiError as error:
            return JSONResponse(error.body(), error.status)
    return JSONResponse({**sender.plan.model_dump(), "sent": sender.sent})


class _Changes(RootModel[dict[str, Any]]):
    """Fields of Limits."""


async def reset(request: Request) -> Response:
    _emulator(request).reset()
    return JSONResponse({"reset": True})


ROUTES = [
    Route("/_stats", stats, methods=["GET"]),
    Route("/_faults", faults, methods=["GET", "POST"]),
    Route("/_limits", limits, methods=["GET", "POST"]),
    Route("/_webhooks", webhooks, methods=["GET", "POST"]),
    Route("/_reset", reset, methods=["POST"]),
]
