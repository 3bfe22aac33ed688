"""The spans of an attempt below that of its job: runs of a model with their tool calls, and the clean-up."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from threadmill.tracing import spans
from threadmill_worker.lifecycle.actions import RemoteAction, is_counted
from threadmill_worker.lifecycle.observations import ANSWERED, OutputReady, ToolCall
from threadmill_worker.lifecycle.progress import CurrentRun, Progress
from threadmill_worker.tracing import content
from threadmill_worker.tracing.subject import Subject

if TYPE_CHECKING:
    from contextvars import Token

    from opentelemetry.context import Context
    from opentelemetry.trace import Span


class RunSpans:
    """A run, from the call that starts it until its answer is read, and then the clean-up: one span at a time.

    It is the current span, so the calls of the run belong to it. Does nothing in a process without traces. Use it in
    the task of the attempt. `subject`: None makes no spans.
    """

    def __init__(self, subject: Subject | None = None) -> None:
        self._subject = subject
        self._span: Span | None = None
        self._token: Token[Context] | None = None
        self._is_run = False
        self._run: CurrentRun | None = None  #: as last observed
        self._spent = (0, 0)  #: tokens before the run

    def sends(self, action: RemoteAction, progress: Progress) -> None:
        """Begins the span of a run before the call that starts it."""
        if is_counted(action) and self._span is None:
            self._begin_run(progress)

    def changed(self, after: Progress) -> None:
        """Begins and ends spans after a step. An attempt that continues a run begins its span with the first step."""
        self._run = after.run or self._run
        if after.outcome is not None:
            if self._is_run:
                self._end_run(after)
            if self._span is None and after.leftovers:
                self._begin("clean up")
        elif self._is_run and after.run is None:
            self._end_run(after)
        elif self._span is None and after.run is not None:
            self._begin_run(after)

    @contextmanager
    def tool_call(self, call: ToolCall) -> Iterator["ToolSpan"]:
        """Traces a tool call, from here to the end of the block."""
        tracer = spans.tracer() if self._subject and spans.current() else None
        if tracer is None:
            yield ToolSpan(None)
            return
        from opentelemetry.trace import use_span

        attributes = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": call.name,
            "gen_ai.tool.call.id": call.id,
            "gen_ai.tool.type": "function",
        }
        span = tracer.start_span(f"execute_tool {call.name:.100}", attributes=attributes)
        if content.is_captured():
            span.set_attribute("gen_ai.tool.call.arguments", content.text(call.arguments))
        with spans.ending(span), use_span(span, record_exception=False, set_status_on_exception=False):
            yield ToolSpan(span)

    @contextmanager
    def finishing(self) -> Iterator[None]:
        """Traces the step that ends the job; its clean-up is over."""
        self._end()
        tracer = spans.tracer() if self._subject and spans.current() else None
        if tracer is None or self._subject is None:
            yield
            return
        from opentelemetry.trace import SpanKind

        queue = self._subject.queue
        attributes = spans.messaging("finish", "settle", queue)
        with spans.ending(tracer.start_span(f"finish {queue}", kind=SpanKind.CLIENT, attributes=attributes)):
            yield

    def close(self) -> None:
        """Ends the span of an attempt that is left; another attempt continues the run."""
        self._end()

    def _begin_run(self, progress: Progress) -> None:
        if self._subject is None:
            return
        usage = progress.cost.usage
        self._spent = usage.prompt_tokens, usage.completion_tokens
        self._run = progress.run
        self._begin(self._subject.run_name, self._subject.of_run())
        self._is_run = self._span is not None

    def _begin(self, name: str, attributes: dict[str, Any] | None = None) -> None:
        tracer = spans.tracer() if self._subject and spans.current() else None
        if tracer is None:
            return
        from opentelemetry.context import attach
        from opentelemetry.trace import SpanKind, set_span_in_context

        kind = SpanKind.INTERNAL if attributes is None else SpanKind.CLIENT
        self._span = tracer.start_span(name, kind=kind, attributes=attributes)
        self._token = attach(set_span_in_context(self._span))

    def _end_run(self, after: Progress) -> None:
        span, run, outcome = self._span, self._run, after.outcome
        assert span is not None
        found: dict[str, Any] = {"gen_ai.conversation.id": after.thread_id}
        if run is not None:
            found |= {
                "gen_ai.response.id": run.id,
                "gen_ai.response.model": run.seen.model,
                "openai.response.service_tier": run.seen.tier,
                "threadmill.run.status": run.status,
            }
        usage = after.cost.usage
        if (tokens := usage.prompt_tokens - self._spent[0]) > 0:
            found["gen_ai.usage.input_tokens"] = tokens
        if (tokens := usage.completion_tokens - self._spent[1]) > 0:
            found["gen_ai.usage.output_tokens"] = tokens
        if content.is_captured() and outcome is not None and outcome.text:
            found["gen_ai.output.messages"] = content.output(outcome.text, run.status if run else "")
        span.set_attributes({name: value for name, value in found.items() if value})
        if run is None or run.status not in ANSWERED:
            failure = outcome.failure if outcome else None
            spans.fail(span, (run.seen.error_code or run.status) if run else failure.kind if failure else "not_started")
        self._end()

    def _end(self) -> None:
        span, token, self._span, self._token, self._is_run = self._span, self._token, None, None, False
        if span is None or token is None:
            return
        from opentelemetry.context import detach

        detach(token)
        span.end()


class ToolSpan:
    def __init__(self, span: "Span | None") -> None:
        self._span = span

    def ended(self, seen: OutputReady) -> None:
        """Tells what came of the call."""
        if self._span is not None and content.is_captured():
            self._span.set_attribute("gen_ai.tool.call.result", content.text(seen.output))
