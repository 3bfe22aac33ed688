"""The trace of a job: from the call that enqueues it to its clean-up."""

import json

import pytest
from opentelemetry.trace import SpanKind, StatusCode
from tests.traced import kept

from threadmill import Client, JobState
from threadmill_worker.tracing import content

pytestmark = pytest.mark.integration


@pytest.fixture
def traced():
    with kept() as spans:
        yield spans


@pytest.fixture
def captured(monkeypatch):
    """Spans have the texts of prompts and answers."""
    monkeypatch.setenv(content.VARIABLE, "true")
    content.is_captured.cache_clear()
    yield
    monkeypatch.delenv(content.VARIABLE)
    content.is_captured.cache_clear()


async def test_a_job_is_one_trace_from_enqueue_to_finish(worker, client, traced, settings):
    with traced.provider.get_tracer("shop").start_as_current_span("checkout"):
        job = client.enqueue({"prompt": "[[scenario=tools]]\nBread?", "assistant": "asst_echo", "batch": "b"})
    result = await worker.see_through(job.id)

    assert result.state is JobState.SUCCEEDED
    assert len({span.context.trace_id for span in traced.all()}) == 1
    enqueued, process = traced.one("enqueue"), traced.one("process")
    assert client.get(job.id).trace.id == f"{process.context.trace_id:032x}"
    assert traced.children(traced.one("checkout")) == [enqueued.name]
    assert traced.children(enqueued) == [process.name]
    assert (enqueued.kind, process.kind) == (SpanKind.PRODUCER, SpanKind.CONSUMER)
    assert enqueued.name == f"enqueue {settings.queue}"
    assert enqueued.attributes["messaging.message.id"] == job.id
    assert dict(process.attributes) == {
        "messaging.system": "threadmill",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": settings.queue,
        "messaging.message.id": job.id,
        "threadmill.attempt": 1,
        "threadmill.batch": "b",
        "threadmill.endpoint": "emulator",
        "threadmill.job.state": "succeeded",
    }
    run, cleaning = traced.one("invoke_agent"), traced.one("clean up")
    assert traced.children(process)[0] == f"claim {settings.queue}"
    assert traced.children(process)[-3:] == [run.name, cleaning.name, f"finish {settings.queue}"]
    calls = traced.children(run)
    assert calls[0] == "POST /api/assts/v1/threads/{id}/runs"
    assert {"execute_tool SEARCH", "POST /api/assts/v1/threads/{id}/runs/{id}/submit_tool_outputs"} <= set(calls)
    assert traced.children(traced.one("execute_tool")) == ["POST /api/assts/v1/pluginapi"]
    assert traced.children(cleaning) == ["DELETE /api/assts/v1/threads/{id}"]


async def test_a_run_and_its_tools_have_the_attributes_of_the_conventions(worker, client, traced):
    job = client.enqueue({"prompt": "[[scenario=tools]]\nBread?", "assistant": "asst_echo", "temperature": 0.5})
    result = await worker.see_through(job.id)

    run = dict(traced.one("invoke_agent").attributes)
    assert traced.one("invoke_agent").kind is SpanKind.CLIENT
    assert run["gen_ai.operation.name"] == "invoke_agent"
    assert run["gen_ai.provider.name"] == "openai"
    assert run["gen_ai.agent.id"] == "asst_echo"
    assert run["gen_ai.request.temperature"] == 0.5
    assert run["gen_ai.usage.input_tokens"] == result.usage.prompt_tokens
    assert run["gen_ai.usage.output_tokens"] == result.usage.completion_tokens
    assert run["gen_ai.conversation.id"].startswith("thread_")
    assert run["gen_ai.response.id"].startswith("run_")
    assert run["threadmill.run.status"] == "completed"
    assert run["server.address"] == "127.0.0.1"
    tool = dict(traced.one("execute_tool").attributes)
    assert tool["gen_ai.operation.name"] == "execute_tool"
    assert tool["gen_ai.tool.name"] == "SEARCH"
    assert tool["gen_ai.tool.call.id"].startswith("call_")


async def test_no_text_of_a_prompt_or_an_answer_is_in_a_span(worker, client, traced):
    job = client.enqueue({"prompt": "[[scenario=tools]]\nWholegrain?", "assistant": "asst_echo"})
    assert "Wholegrain" in (await worker.see_through(job.id)).text
    assert "Wholegrain" not in " ".join(span.to_json() for span in traced.all())


@pytest.mark.usefixtures("captured")
async def test_texts_are_in_the_spans_if_the_standard_variable_says_so(worker, client, traced):
    job = client.enqueue({"prompt": "[[scenario=tools]]\nBread?", "assistant": "asst_echo"})
    result = await worker.see_through(job.id)

    run, tool = dict(traced.one("invoke_agent").attributes), dict(traced.one("execute_tool").attributes)
    [given], [answered] = json.loads(run["gen_ai.input.messages"]), json.loads(run["gen_ai.output.messages"])
    assert given == {"role": "user", "parts": [{"type": "text", "content": "[[scenario=tools]]\nBread?"}]}
    assert answered == {
        "role": "assistant",
        "parts": [{"type": "text", "content": result.text}],
        "finish_reason": "stop",
    }
    assert "Bread" in tool["gen_ai.tool.call.arguments"]
    assert "Bread" in tool["gen_ai.tool.call.result"]


async def test_the_server_can_continue_the_trace(worker, client, emulator, traced):
    await worker.see_through(client.enqueue("[[scenario=echo]]Well?").id)

    [request] = emulator.sent("POST", "/runs")
    [call] = [span for span in traced.named("POST") if span.name.endswith("/runs")]
    assert request.headers["traceparent"].startswith(f"00-{call.context.trace_id:032x}-{call.context.span_id:016x}-")


async def test_a_failed_run_and_its_job_are_errors_without_their_texts(worker, client, traced):
    job = client.enqueue("[[scenario=fail code=invalid_prompt message=Rye]]Well?")
    result = await worker.see_through(job.id)

    assert result.state is JobState.FAILED
    process, run = traced.one("process"), traced.named("invoke_agent")[-1]
    assert process.status.status_code is run.status.status_code is StatusCode.ERROR
    assert process.attributes["error.type"] == result.failure.kind
    assert process.attributes["threadmill.job.state"] == "failed"
    assert not process.status.description


async def test_jobs_that_are_enqueued_together_share_the_span_of_the_call(worker, client, traced):
    jobs = client.enqueue_many(["[[scenario=echo]]One?", "[[scenario=echo]]Two?"])
    for job in jobs:
        await worker.see_through(job.id)

    enqueued = traced.one("enqueue")
    assert enqueued.attributes["messaging.batch.message_count"] == 2
    assert len([name for name in traced.children(enqueued) if name.startswith("process")]) == 2


async def test_a_job_that_nobody_traced_begins_a_trace_that_later_attempts_continue(worker, worker_of, client, traced):
    job = worker.create("[[scenario=requires_action]]\nWell?", timeout_s=60)
    assert client.get(job).trace is None
    lease = worker.process._job_store.lease(job)
    from threadmill_worker.tracing.jobs import JobSpan

    with JobSpan("queue", job) as first:
        record = await worker.process._job_store.claim(lease, first.context)
        first.claimed(record)
    context = client.get(job).trace
    assert context == first.context
    await worker.process._job_store.hand_back(lease)
    with JobSpan("queue", job) as second:
        lease = worker.process._job_store.lease(job)
        second.claimed(await worker.process._job_store.claim(lease, second.context))

    assert client.get(job).trace == context, "the first trace stays"
    one, two = traced.named("process")
    assert two.parent.span_id == one.context.span_id


async def test_calls_outside_of_jobs_are_not_traced(worker, client, traced):
    await worker.process.clean_up()
    assert await worker.process._contexts.remote_objects("emulator").probe()
    assert traced.all() == ()


async def test_without_traces_a_record_has_no_context(worker, client: Client):
    job = client.enqueue("[[scenario=echo]]Well?")
    await worker.see_through(job.id)
    assert client.get(job.id).trace is None
