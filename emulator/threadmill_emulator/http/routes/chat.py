"""Chat completions."""

import asyncio
from collections.abc import Callable

from threadmill_emulator.chat.completion import Completion
from threadmill_emulator.chat.engine import Completions
from threadmill_emulator.content.frames import Listener
from threadmill_emulator.errors.api_error import ApiError, no_streaming
from threadmill_emulator.errors.chat_api import loading, unknown_name
from threadmill_emulator.http import estimates
from threadmill_emulator.http.endpoint import Call, Reply, route
from threadmill_emulator.http.streaming import EventStream
from threadmill_emulator.http.waiting import while_connected
from threadmill_emulator.objects.completion_transcript import CompletionTranscript
from threadmill_emulator.objects.completions import completion_object
from threadmill_emulator.runs.failures import failure
from threadmill_emulator.schemas.chat import CreateCompletion
from threadmill_emulator.scripting.chat_quirks import IGNORED, UNKNOWN_NAMES

CREATE = "chat.completions.create"  #: the name of the route
#: How often a completion that hangs is looked at, in seconds.
LOOK_S = 1.0


async def create(call: Call) -> Reply:
    body, completions = _taken(call), call.state.completions
    completions.check(body)
    if body.stream and not call.emulator.options.offers("streaming"):
        raise no_streaming()
    reserve = call.charge(body.model, estimates.of_completion(body))
    await _slot(call)
    completion = completions.create(body)
    call.ending.callback(completions.leave, completion)
    reserve(completion.id)
    if body.stream and "stream_json" not in completion.run.script.quirks:
        return _streamed(call, completion)
    await while_connected(call.request, _ended(completions, completion, call.state.clock))
    if completion.has_failed:
        raise failure(completion.run)
    return completion_object(completion)


def _taken(call: Call) -> CreateCompletion:
    """Returns the request without the fields that this server ignores."""
    quirks = call.emulator.options.extras
    if "loading_503" in quirks and call.state.stats.calls[CREATE] == 1:
        raise loading()
    refuses = "refuses_unknown_names" in quirks
    try:
        body = call.body(CreateCompletion, ignores_unknown="ignores_unknown_fields" in quirks)
    except ApiError as error:
        if refuses and error.code == "unknown_parameter":
            raise unknown_name(error.param or "") from None
        raise
    for name in UNKNOWN_NAMES & body.model_fields_set if refuses else ():
        raise unknown_name(name)
    ignored = {name: None for quirk, names in IGNORED.items() if quirk in quirks for name in names}
    return body.model_copy(update=ignored)


async def _slot(call: Call) -> None:
    """Takes a slot of the server until the request is over."""
    slots = call.emulator.limiter.slots
    await while_connected(call.request, slots.take())
    call.ending.callback(slots.release)


async def _ended(completions: Completions, completion: Completion, clock: Callable[[], float]) -> None:
    """Waits for the end of the completion, even if the emulator is reset."""
    while completion.ended is None:
        await asyncio.sleep(min(max(completion.run.due - clock(), 0), LOOK_S))
        completions.advance(completion)


def _streamed(call: Call, completion: Completion) -> EventStream:
    completions = call.state.completions
    transcript = CompletionTranscript(completion, lambda: completions.plan(completion))
    completion.transcript, completion.run.on_change = transcript, transcript.changed

    def look() -> bool:
        completions.advance(completion)
        return True

    drops = "stream_drops" in completion.run.script.quirks
    return EventStream(call.state.clock, look, Listener(transcript, drops=drops))


ROUTES = [
    route("POST", "/chat/completions", CREATE, create, beta=False),
    # AzureOpenAI of the openai package names the deployment in the path, and the model in the body too.
    route("POST", "/deployments/{deployment}/chat/completions", CREATE, create, beta=False),
]
