"""Builds the bodies of POST /chat/completions: for a run, and for each round of its tools."""

import asyncio
import json
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from threadmill.errors import InvalidJob
from threadmill.job.message import ImageFilePart, ImagePart, Message, TextPart
from threadmill.settings.endpoints.endpoint import Endpoint
from threadmill.store.records.remote import Transcript
from threadmill_worker.drivers.base.connection import Connection
from threadmill_worker.drivers.base.driver import ThreadState
from threadmill_worker.drivers.chat.optional_fields import TOKEN_LIMITS
from threadmill_worker.drivers.chat.replies import assistant_message
from threadmill_worker.drivers.requests.job_spec import JobSpec
from threadmill_worker.drivers.requests.notes import current_time_note, with_notes
from threadmill_worker.drivers.requests.tags import run_name
from threadmill_worker.drivers.requests.tiers import fields_of
from threadmill_worker.lifecycle.progress import CurrentRun, Progress


def round_name(progress: Progress) -> str:
    """Returns the name of the call with the outputs of the current run's last tool calls."""
    return f"{run_name(progress.runs)}-{(progress.run.rounds if progress.run else 0) + 2}"


class Requests:
    """The requests of one job. Each contains all messages, because the server keeps none."""

    def __init__(self, spec: JobSpec, endpoint: Endpoint) -> None:
        self._spec = spec
        self._supports = endpoint.supports

    async def messages(self, progress: Progress) -> list[dict[str, Any]]:
        """Returns the messages of a request, without those of the system: earlier ones first, then the rounds of tools.

        Raises InvalidJob if an image of the job is gone or has changed.
        """
        said = [await self._message(each) for each in self._spec.job.conversation]
        return [*self._earlier, *said, *_rounds(progress.run, with_last=True)]

    def body(
        self, messages: Sequence[dict[str, Any]], progress: Progress, time_note: str | None, left_out: Collection[str]
    ) -> dict[str, Any]:
        """Returns the request. `left_out`: fields that the server refuses. Raises InvalidJob for a tool of a server."""
        job = self._spec.job
        form, in_words = self._form(left_out)
        instructions = with_notes(self._spec, progress, time_note, in_words)
        system = [{"role": "system", "content": instructions}] if instructions else []
        is_stream = job.stream and self._supports.streaming and "stream" not in left_out
        fields = {
            "model": self._spec.model,
            "messages": [*system, *messages],
            **self._tools(progress),
            "temperature": self._spec.temperature,
            "top_p": self._spec.top_p,
            "seed": job.seed,
            self._token_limit(left_out): job.max_completion_tokens,
            "response_format": form,
            "reasoning_effort": self._spec.reasoning_effort,
            "stream": True if is_stream else None,
            "stream_options": {"include_usage": True} if is_stream and self._supports.stream_usage else None,
            **fields_of(progress.requested_lane, self._spec.tag),
        }
        return {name: value for name, value in fields.items() if value is not None and name not in left_out}

    @property
    def taken_ids(self) -> set[str]:
        """The ids of tool calls in the earlier messages of the thread."""
        return {str(call.get("id")) for message in self._earlier for call in message.get("tool_calls") or ()}

    async def thread_state(self, progress: Progress, answer: Sequence[dict[str, Any]]) -> ThreadState:
        """See Driver.thread_state. The thread is its transcript; None if a local file of the job no longer exists."""
        try:
            said = [await self._message(each) for each in self._spec.job.conversation]
        except (InvalidJob, OSError):
            return ThreadState("local")
        last = assistant_message(answer)
        items = (*self._earlier, *said, *_rounds(progress.run), *([last] if last["content"] else []))
        return ThreadState("local", transcript=Transcript(items=items))

    @property
    def _earlier(self) -> tuple[dict[str, Any], ...]:
        """The messages of earlier jobs on the thread."""
        kept = self._spec.kept
        return kept.transcript.items if kept is not None and kept.transcript is not None else ()

    def _tools(self, progress: Progress) -> dict[str, Any]:
        """Returns the fields about tools. A forced choice holds for the first round only, or it would never end."""
        tools, choice = self._spec.tools, self._spec.job.tool_choice
        if not tools:
            return {}
        for tool in tools:
            if tool.get("type") != "function":
                raise InvalidJob(
                    f"`tools`: endpoint {self._spec.endpoint!r} speaks Chat Completions, which has no tool "
                    f"{tool.get('type')!r}; use function, HTTP and MCP tools, or an endpoint of kind `responses`"
                )
        is_forced = choice == "required" or isinstance(choice, dict)
        return {
            "tools": tools,
            "tool_choice": None if is_forced and progress.run is not None else choice,
            "parallel_tool_calls": self._spec.job.parallel_tool_calls,
        }

    def _token_limit(self, left_out: Collection[str]) -> str:
        """Returns the name of the field that limits the answer: the older one, unless the server has the newer."""
        first, second = TOKEN_LIMITS if self._supports.max_completion_tokens else TOKEN_LIMITS[::-1]
        return second if first in left_out else first

    def _form(self, left_out: Collection[str]) -> tuple[dict[str, Any] | None, str | None]:
        """Returns the required form of the answer as a field, or in words for a server that lacks the field."""
        form = self._spec.response_format
        if not isinstance(form, dict) or form.get("type") == "text":
            return None, None
        is_schema = form.get("type") == "json_schema"
        if "response_format" not in left_out and (self._supports.json_schema or not is_schema):
            return form, None
        schema = (form.get("json_schema") or {}).get("schema") if is_schema else None
        wanted = "a JSON object" if schema is None else f"JSON that matches this schema:\n{json.dumps(schema)}"
        return None, f"Answer with nothing but {wanted}"

    async def _message(self, message: Message) -> dict[str, Any]:
        """Text alone is sent as a string, which every server accepts."""
        content: str | list[dict[str, Any]] = message.text
        if not isinstance(message.content, str) and any(not isinstance(part, TextPart) for part in message.content):
            content = [await self._part(part) for part in message.content]
        return {"role": message.role, "content": content}

    async def _part(self, part: TextPart | ImagePart | ImageFilePart) -> dict[str, Any]:
        if isinstance(part, TextPart):
            return {"type": "text", "text": part.text}
        if isinstance(part, ImageFilePart):
            raise InvalidJob(f"{part.image_file.file_id}: Chat Completions has no images by id; send a path or a URL")
        url = await asyncio.to_thread(self._spec.attachments.image, part.image_url.url)
        detail = {} if part.image_url.detail == "auto" else {"detail": part.image_url.detail}
        return {"type": "image_url", "image_url": {"url": url, **detail}}


async def batch_request(connection: Connection, spec: JobSpec, progress: Progress) -> dict[str, Any]:
    """Returns the job's next run as a request of the Batch API."""
    requests = Requests(spec, connection.endpoint)
    left_out = {"stream", *connection.left_out.get(spec.model, ())}
    messages = await requests.messages(progress)
    return requests.body(messages, progress, current_time_note(connection.endpoint), left_out)


def _rounds(run: CurrentRun | None, *, with_last: bool = False) -> Iterator[dict[str, Any]]:
    """Yields the messages of all rounds of tools: the model's calls, then their outputs."""
    if run is None:
        return
    for seen in (*run.past_rounds, run.seen) if with_last else run.past_rounds:
        yield from seen.items
        for call in seen.calls:
            yield {"role": "tool", "tool_call_id": call.id, "content": run.outputs[call.id]}
