"""Runs of a thread, and their steps."""

from typing import Any

from starlette.responses import JSONResponse

from threadmill_emulator.endpoint import Call, Reply, route
from threadmill_emulator.errors import ApiError, no_streaming, not_found
from threadmill_emulator.objects import run_object, step_objects
from threadmill_emulator.pages import page
from threadmill_emulator.runs import Run
from threadmill_emulator.threads import Thread
from threadmill_emulator.wire import CreateThread, Modify, SubmitToolOutputs
from threadmill_emulator.wire_runs import CreateRun, CreateThreadAndRun


def _found(call: Call) -> tuple[Thread, Run]:
    thread = call.world.thread(call.id("thread_id"))
    return thread, thread.run(call.id("run_id"))


async def create(call: Call) -> Reply:
    thread, body = call.world.thread(call.id("thread_id")), call.body(CreateRun)
    if body.stream:
        raise no_streaming()
    return run_object(call.world.start_run(thread, body))


async def create_with_thread(call: Call) -> Reply:
    body = call.body(CreateThreadAndRun)
    if body.stream:
        raise no_streaming()
    call.world.assistant(body.assistant_id)
    asked = (body.thread or CreateThread()).model_copy()
    if body.tool_resources:
        asked.tool_resources = body.tool_resources
    thread = call.world.create_thread(asked)
    try:
        return run_object(call.world.start_run(thread, CreateRun.model_construct(**dict(body))))
    except ApiError:
        # A refusal leaves nothing behind: the client never learns the thread's id.
        call.world.delete_thread(thread)
        raise


async def list_(call: Call) -> Reply:
    thread = call.world.thread(call.id("thread_id"))
    return page(call, thread.runs.values(), run_object)


async def retrieve(call: Call) -> Reply:
    _, run = _found(call)
    seen = run_object(run)
    run.looks += run.status == "requires_action"
    after = call.emulator.options.poll_after_ms
    return seen if after is None else JSONResponse(seen, headers={"openai-poll-after-ms": str(after)})


async def modify(call: Call) -> Reply:
    (_, run), body = _found(call), call.body(Modify)
    if "metadata" in body.model_fields_set:
        run.metadata = body.metadata or {}
    return run_object(run)


async def cancel(call: Call) -> Reply:
    _, run = _found(call)
    run.cancel(call.world.clock())
    return run_object(run)


async def submit_tool_outputs(call: Call) -> Reply:
    (_, run), body = _found(call), call.body(SubmitToolOutputs)
    if body.stream:
        raise no_streaming()
    outputs = {part.tool_call_id: part.output for part in body.tool_outputs}
    run.submit(outputs, call.world.clock())
    call.world.stats.outputs.update(outputs.keys())
    return run_object(run)


def _steps(call: Call) -> list[dict[str, Any]]:
    thread, run = _found(call)
    return step_objects(run, [message for message in thread.messages.values() if message.run_id == run.id])


async def list_steps(call: Call) -> Reply:
    return page(call, _steps(call), lambda step: step)


async def retrieve_step(call: Call) -> Reply:
    for step in _steps(call):
        if step["id"] == call.id("step_id"):
            return step
    raise not_found("run step", call.id("step_id"))


RUN = "/threads/{thread_id}/runs/{run_id}"
ROUTES = [
    route("GET", RUN, "runs.retrieve", retrieve),
    route("POST", "/threads/{thread_id}/runs", "runs.create", create),
    route("GET", "/threads/{thread_id}/runs", "runs.list", list_),
    route("POST", "/threads/runs", "threads.create_and_run", create_with_thread),
    route("POST", f"{RUN}/submit_tool_outputs", "runs.submit_tool_outputs", submit_tool_outputs),
    route("POST", f"{RUN}/cancel", "runs.cancel", cancel),
    route("POST", RUN, "runs.modify", modify),
    route("GET", f"{RUN}/steps", "steps.list", list_steps),
    route("GET", f"{RUN}/steps/{{step_id}}", "steps.retrieve", retrieve_step),
]
