"""Runs of a thread, and their steps."""

from collections.abc import Iterable
from typing import Any

from starlette.responses import JSONResponse

from threadmill_emulator.content.frames import Listener
from threadmill_emulator.errors.api_error import ApiError, no_streaming
from threadmill_emulator.http import estimates
from threadmill_emulator.http.endpoint import Call, Reply, route
from threadmill_emulator.http.pagination import page
from threadmill_emulator.http.streaming import EventStream
from threadmill_emulator.objects.assistants import run_object, thread_object
from threadmill_emulator.objects.steps import CONTENT, round_step, step_objects
from threadmill_emulator.objects.transcript import Transcript
from threadmill_emulator.runs.run import Run
from threadmill_emulator.runs.threads import Thread
from threadmill_emulator.schemas.runs import CreateRun, CreateThreadAndRun
from threadmill_emulator.schemas.threads import CreateThread
from threadmill_emulator.schemas.wire import SubmitToolOutputs


def _found(call: Call) -> tuple[Thread, Run]:
    thread = call.state.thread(call.id("thread_id"))
    return thread, thread.run(call.id("run_id"))


async def create(call: Call) -> Reply:
    thread, body = call.state.thread(call.id("thread_id")), call.body(CreateRun)
    _check_streaming(call, body.stream)
    with_content = _includes_content(call)
    run = _started(call, thread, body)
    if body.stream and "stream_json" not in run.script.quirks:
        return _streamed(call, thread, run, with_content, (("thread.run.created", run_object(run)),))
    return run_object(run)


async def create_with_thread(call: Call) -> Reply:
    body = call.body(CreateThreadAndRun)
    _check_streaming(call, body.stream)
    state = call.state
    state.assistant(body.assistant_id)
    asked = (body.thread or CreateThread()).model_copy()
    if body.tool_resources:
        asked.tool_resources = body.tool_resources
    known = {store.id for store in state.stores.all()}
    thread = state.create_thread(asked)
    try:
        run = _started(call, thread, CreateRun.model_construct(**dict(body)))
    except ApiError:
        # If the run is refused, the thread is deleted: the client does not know its id.
        for id in {store.id for store in state.stores.all()} - known:
            state.stores.delete(id)
        state.delete_thread(thread)
        raise
    if body.stream and "stream_json" not in run.script.quirks:
        first = (("thread.created", thread_object(thread)), ("thread.run.created", run_object(run)))
        return _streamed(call, thread, run, False, first)
    return run_object(run)


def _started(call: Call, thread: Thread, body: CreateRun) -> Run:
    model = body.model or call.state.assistant(body.assistant_id).settings["model"]
    reserve = call.charge(model, estimates.of_run(thread, body))
    run = call.state.start_run(thread, body)
    reserve(run.id)
    return run


def _check_streaming(call: Call, wanted: bool | None) -> None:
    if wanted and not call.emulator.options.offers("streaming"):
        raise no_streaming()


def _streamed(
    call: Call, thread: Thread, run: Run, with_content: bool, first: Iterable[tuple[str, dict[str, Any]]]
) -> EventStream:
    """Streams the events `first`, then all later events of the run."""
    state = call.state
    transcript = Transcript(run, lambda: state.plan_work(thread, run), with_content)
    for event, data in first:
        transcript.schedule(state.clock(), event, data)
    run.on_change = transcript.changed
    run.on_change(state.clock())

    def look() -> bool:
        state.advance(thread)
        return thread.id in state.threads

    return EventStream(state.clock, look, Listener(transcript, drops="stream_drops" in run.script.quirks))


async def list_(call: Call) -> Reply:
    thread = call.state.thread(call.id("thread_id"))
    return page(call, thread.runs.values(), run_object)


async def retrieve(call: Call) -> Reply:
    _, run = _found(call)
    seen = run_object(run)
    run.polls += run.status == "requires_action"
    after = call.emulator.options.poll_after_ms
    return seen if after is None else JSONResponse(seen, headers={"openai-poll-after-ms": str(after)})


async def cancel(call: Call) -> Reply:
    _, run = _found(call)
    run.cancel(call.state.clock())
    return run_object(run)


async def submit_tool_outputs(call: Call) -> Reply:
    (thread, run), body = _found(call), call.body(SubmitToolOutputs)
    _check_streaming(call, body.stream)
    outputs = {part.tool_call_id: part.output for part in body.tool_outputs}
    reserve = call.charge(run.settings["model"], estimates.of_outputs(outputs.values()), begins=False)
    run.submit(outputs, call.state.clock())
    reserve(run.id)
    call.state.stats.outputs.update(outputs.keys())
    if body.stream and "stream_json" not in run.script.quirks:
        answered = run.rounds[-1].answered is not None
        first = [("thread.run.step.completed", round_step(run, run.rounds[-1]))] if answered else []
        return _streamed(call, thread, run, False, first)
    return run_object(run)


def _includes_content(call: Call) -> bool:
    wanted = call.request.query_params.getlist("include[]")
    for value in wanted:
        if value != CONTENT:
            message = f"Invalid value: '{value}'. Supported values are: '{CONTENT}'."
            raise ApiError(400, message, param="include[]", code="invalid_value")
    return bool(wanted)


def _steps(call: Call) -> list[dict[str, Any]]:
    thread, run = _found(call)
    if run.is_answering:
        call.state.plan_work(thread, run)
    messages = [message for message in thread.messages.values() if message.run_id == run.id]
    return step_objects(run, messages, call.state.clock(), _includes_content(call))


async def list_steps(call: Call) -> Reply:
    return page(call, _steps(call), lambda step: step)


RUN = "/threads/{thread_id}/runs/{run_id}"
ROUTES = [
    route("GET", RUN, "runs.retrieve", retrieve),
    route("POST", "/threads/{thread_id}/runs", "runs.create", create),
    route("GET", "/threads/{thread_id}/runs", "runs.list", list_),
    route("POST", "/threads/runs", "threads.create_and_run", create_with_thread),
    route("POST", f"{RUN}/submit_tool_outputs", "runs.submit_tool_outputs", submit_tool_outputs),
    route("POST", f"{RUN}/cancel", "runs.cancel", cancel),
    route("GET", f"{RUN}/steps", "steps.list", list_steps),
]
