"""Responses and their input items."""

import asyncio
from collections.abc import Collection

from pydantic import BaseModel, Field

from threadmill_emulator.content.frames import Listener
from threadmill_emulator.errors.api_error import ApiError, no_streaming, wrong_method
from threadmill_emulator.errors.refusals import parse
from threadmill_emulator.errors.responses_api import no_object, not_streamed
from threadmill_emulator.http import estimates
from threadmill_emulator.http.abort import is_closed
from threadmill_emulator.http.endpoint import Call, Reply, route
from threadmill_emulator.http.pagination import page
from threadmill_emulator.http.streaming import SHORTEST_S, EventStream
from threadmill_emulator.ids import is_made, new_id
from threadmill_emulator.objects.assistants import Object, deleted
from threadmill_emulator.objects.response_transcript import ResponseTranscript
from threadmill_emulator.objects.responses import response_object
from threadmill_emulator.responses.response import Response
from threadmill_emulator.schemas.responses import CreateResponse, Includable


class RetrieveQuery(BaseModel):
    include: list[Includable] = []
    stream: bool = False
    starting_after: int = Field(-1, ge=0)


async def create(call: Call) -> Reply:
    body, responses = _taken(call), call.state.responses
    if body.stream and not call.emulator.options.offers("streaming"):
        raise no_streaming()
    reserve = call.charge(body.model, estimates.of_response(body))
    response, include = responses.create(body), body.include or ()
    reserve(response.id)
    call.emulator.webhooks.response_created(call.state, response)
    if body.stream and "stream_json" not in response.run.script.quirks:
        return _streamed(call, response, include)
    if not body.background:
        await _ended(call, response)
    return _shown(call, response, include)


async def retrieve(call: Call) -> Reply:
    response = _asked(call)
    response.polls += 1
    if response.polls == 2 and "misses_looks" in call.emulator.options.extras:
        raise no_object("Response", response.id)
    given = {key: value for key, value in call.query.items() if key in ("stream", "starting_after")}
    asked = parse(RetrieveQuery, {**given, "include": call.request.query_params.getlist("include[]")})
    if not asked.stream:
        return _shown(call, response, asked.include)
    if response.transcript is None:
        raise not_streamed(response.id)
    return _listening(call, response, Listener(response.transcript, asked.starting_after + 1))


async def list_(call: Call) -> Reply:
    if "list_responses" not in call.emulator.options.extras:
        raise wrong_method("GET", call.request.url.path)
    return page(call, call.state.responses.all(), response_object)


async def cancel(call: Call) -> Reply:
    return _shown(call, call.state.responses.cancel(_asked(call).id))


async def delete(call: Call) -> Reply:
    call.state.responses.drop(_asked(call))
    return deleted(call.id("response_id"), "response")


def _taken(call: Call) -> CreateResponse:
    """Returns the request without the fields that this server ignores."""
    body, extras = call.body(CreateResponse), call.emulator.options.extras
    heeded: Object = {"previous_response_id": body.previous_response_id and _real(body.previous_response_id)}
    if "ignores_previous" in extras:
        heeded["previous_response_id"] = None
    if "ignores_conversation" in extras:
        heeded["conversation"] = None
    if "ignores_background" in extras:
        heeded["background"] = None
    if "ignores_tiers" in extras:
        heeded |= {"service_tier": "default", "background_options": None}
    if "stateless" in extras:
        heeded["store"] = False
    return body.model_copy(update=heeded)


def _asked(call: Call) -> Response:
    id, extras = _real(call.id("response_id")), call.emulator.options.extras
    if "bad_ids" in extras and not is_made(id, "resp"):
        raise ApiError(400, f"Response with id '{id}' not found.")
    if "unsupported_500" in extras:
        raise ApiError(500, f"{call.request.method} responses is not supported for this model.")
    return call.state.responses.get(id)


def _shown(call: Call, response: Response, include: Collection[str] = ()) -> Object:
    shown, extras = response_object(response, include), call.emulator.options.extras
    if "ignores_background" in extras:  # LiteLLM replies so, whether the response is stored or not
        shown["store"] = True
    if "late_previous" in extras and response.ended is None:
        shown["previous_response_id"] = None
    if "polling_ids" in extras:
        shown["id"] = _POLLING + shown["id"]
    if "changing_ids" in extras:
        shown["id"] += new_id(_ALIAS)
    return shown


def _real(id: str) -> str:
    """Returns the id of a response without the suffix that this server adds to it in replies."""
    return id.partition(_ALIAS)[0].removeprefix(_POLLING)


async def _ended(call: Call, response: Response) -> None:
    """Waits for the end of the response while the client is connected."""
    responses = call.state.responses
    responses.advance(response)
    while response.ended is None and not is_closed(call.request.scope):
        await asyncio.sleep(SHORTEST_S)
        responses.advance(response)


def _streamed(call: Call, response: Response, include: Collection[str]) -> EventStream:
    responses = call.state.responses
    transcript = ResponseTranscript(response, lambda: responses.plan_output(response), include)
    response.transcript, response.run.on_change = transcript, transcript.changed
    transcript.changed(call.state.clock())
    return _listening(call, response, Listener(transcript, drops="stream_drops" in response.run.script.quirks))


def _listening(call: Call, response: Response, listener: Listener) -> EventStream:
    responses = call.state.responses

    def look() -> bool:
        responses.advance(response)
        return responses.knows(response)

    return EventStream(call.state.clock, look, listener)


#: Separates the id of a response from the suffix that differs in each reply.
_ALIAS = "."
_POLLING = "litellm_poll_"

RESPONSE = "/responses/{response_id}"
ROUTES = [
    route("GET", RESPONSE, "responses.retrieve", retrieve, beta=False),
    route("POST", "/responses", "responses.create", create, beta=False),
    route("GET", "/responses", "responses.list", list_, beta=False),
    route("POST", f"{RESPONSE}/cancel", "responses.cancel", cancel, beta=False),
    route("DELETE", RESPONSE, "responses.delete", delete, beta=False),
]
