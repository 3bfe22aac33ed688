"""Builds the bodies of POST /responses: for a run, and for each round of its tools."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from threadmill.errors import InvalidJob
from threadmill.job.message import ImageFilePart, ImagePart, Message, TextPart
from threadmill.store.records.remote import ThreadKind, Transcript
from threadmill_worker.drivers.base.capabilities import Capabilities
from threadmill_worker.drivers.base.connection import Connection
from threadmill_worker.drivers.base.driver import ThreadState
from threadmill_worker.drivers.requests.job_spec import JobSpec
from threadmill_worker.drivers.requests.notes import current_time_note, with_notes
from threadmill_worker.drivers.requests.tags import run_name, tag
from threadmill_worker.drivers.requests.tiers import fields_of
from threadmill_worker.drivers.responses.replies import assistant_message
from threadmill_worker.drivers.responses.tools import flat, tool_choice_of, tools_of
from threadmill_worker.lifecycle.progress import CurrentRun, Progress

#: Details of steps that a response contains only on request.
STEP_DETAILS = ["code_interpreter_call.outputs", "file_search_call.results"]


def round_name(progress: Progress) -> str:
    """Returns the tag of the response that receives the outputs of the current run's last calls."""
    return round_names(progress.runs, (progress.run.rounds if progress.run else 0) + 1)[bool(progress.without_context)]


def round_names(run: int, number: int) -> tuple[str, str]:
    """Returns the two tags that a round can have: sent first, or sent again with all earlier messages."""
    return f"{run_name(run)}-{number}", f"{run_name(run)}-{number}-whole"


class Requests:
    """The requests of one job. Fields that neither it nor its profile sets are omitted."""

    def __init__(self, spec: JobSpec, *, store: bool = True, capabilities: Capabilities | None = None) -> None:
        self._spec = spec
        self._store = store
        self._capabilities = capabilities or Capabilities(background=True)
        #: The kind of the thread that the job continues; None: there is none, or its kind is not known yet.
        self.kind: ThreadKind | None = _kind_of(spec)

    @property
    def is_kind_unknown(self) -> bool:
        return self._spec.job.thread is not None and self.kind is None

    async def first(self, ordinal: int, progress: Progress, current_time_note: str | None) -> dict[str, Any]:
        """Returns the request for a run: all messages of the job."""
        continued = self._continued(progress)
        settings = self._settings(run_name(ordinal), progress, current_time_note)
        return {"input": [*self._before(continued), *await self._messages(progress)], **settings, **continued}

    async def round(
        self, progress: Progress, outputs: dict[str, str], previous: str, current_time_note: str | None
    ) -> dict[str, Any]:
        """Returns the request with the outputs of the last round, and all earlier items if the server lacks them."""
        continued = self._continued(progress)
        settings = self._settings(round_name(progress), progress, current_time_note)
        if "conversation" in continued:
            return {"input": _results(outputs), **settings, **continued}
        if self._is_last_kept(progress):
            return {"input": _results(outputs), **settings, "previous_response_id": previous}
        said = [
            *self._before(continued),
            *await self._messages(progress),
            *self._repeated(progress.run, with_last=True),
        ]
        return {"input": said, **settings, **continued}

    def conversation(self, progress: Progress) -> str | None:
        """Returns the conversation in which the job runs, if any."""
        return self._continued(progress).get("conversation")

    def names_nothing(self, progress: Progress) -> bool:
        """Whether a run of the job starts without a conversation or a previous response."""
        return not self._continued(progress)

    def continues(self, progress: Progress, *, is_round: bool) -> bool:
        """Whether the request for a run, or for a round of its tools, names an earlier response."""
        continued = self._continued(progress)
        if "conversation" in continued:
            return False
        return "previous_response_id" in continued or (is_round and self._is_last_kept(progress))

    def _is_last_kept(self, progress: Progress) -> bool:
        return self._stores(progress) and (progress.run is None or progress.run.seen.is_kept)

    async def thread_state(self, progress: Progress, answer: Sequence[dict[str, Any]]) -> ThreadState:
        """See Driver.thread_state."""
        if self.conversation(progress):
            return ThreadState("conversation")
        run = progress.run
        is_kept = run is not None and run.seen.kind is not None and self._is_last_kept(progress)
        latest = run.id if run is not None and is_kept else ""
        return ThreadState("chain", latest, await self._transcript(progress, answer))

    async def _transcript(self, progress: Progress, answer: Sequence[dict[str, Any]]) -> Transcript | None:
        """Returns the messages of the chain; None if its beginning is not known."""
        kept, last = self._spec.kept, assistant_message(answer)
        before = kept.transcript if kept else None
        if self._spec.job.thread and before is None:
            return None
        try:
            messages = await self._messages(progress)
        except (InvalidJob, OSError):  # a local file of the job no longer exists
            return None
        items = [
            *(before.items if before else ()),
            *messages,
            *self._repeated(progress.run),
        ]
        return Transcript(items=(*items, *([last] if last else [])))

    def _continued(self, progress: Progress) -> dict[str, Any]:
        """Returns the fields that name what the run continues: a conversation, or the last response of a chain."""
        given, kept = self._spec.job.thread, self._spec.kept
        if given is None:
            return {"conversation": progress.thread_id} if progress.thread_id else {}
        if self.kind == "conversation":
            return {"conversation": given}
        latest = given if kept is None or kept.latest is None else kept.latest
        is_known = kept is not None and kept.transcript is not None
        return {} if is_known and not (latest and self._stores(progress)) else {"previous_response_id": latest}

    def _before(self, continued: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
        """Returns the earlier messages of the thread if the server does not have them."""
        kept = self._spec.kept
        return kept.transcript.items if not continued and kept and kept.transcript else ()

    def _stores(self, progress: Progress) -> bool:
        """Whether requests can continue from an earlier response, until the server shows otherwise."""
        return self._store and not progress.without_context and not self._capabilities.ignores_previous

    def _repeated(self, run: CurrentRun | None, *, with_last: bool = False) -> Iterator[dict[str, Any]]:
        """Yields the items of all rounds of tools: the model's output, then the outputs of its calls."""
        if run is None:
            return
        for seen in (*run.past_rounds, run.seen) if with_last else run.past_rounds:
            for item in seen.items:
                # OpenAI rejects reasoning that it neither stored nor encrypted; other servers send it as text.
                if self._store or item["type"] != "reasoning" or {"content", "encrypted_content"} & item.keys():
                    yield item
            yield from _results({call.id: run.outputs[call.id] for call in seen.calls})

    def _settings(self, what: str, progress: Progress, current_time_note: str | None) -> dict[str, Any]:
        job, form, effort = self._spec.job, self._spec.response_format, self._spec.reasoning_effort
        fields = {
            "model": self._spec.model,
            "instructions": with_notes(self._spec, progress, current_time_note),
            "tools": tools_of(self._spec, progress),
            "tool_choice": tool_choice_of(self._spec),
            "include": STEP_DETAILS if job.include_steps else None,
            "text": {"format": flat(form, "json_schema")} if isinstance(form, dict) else None,
            "temperature": self._spec.temperature,
            "top_p": self._spec.top_p,
            "max_output_tokens": job.max_completion_tokens,
            "truncation": job.truncation and job.truncation.get("type"),
            "parallel_tool_calls": job.parallel_tool_calls,
            "reasoning": {"effort": effort} if effort else None,
            "metadata": job.metadata | tag(self._spec.tag, what),
            "background": True,
            "store": self._store,
            **fields_of(progress.requested_lane, self._spec.tag),
        }
        return {name: value for name, value in fields.items() if value is not None}

    async def _messages(self, progress: Progress) -> list[dict[str, Any]]:
        return [await self._message(each, progress) for each in self._spec.job.conversation]

    async def _message(self, message: Message, progress: Progress) -> dict[str, Any]:
        """Text alone is sent as a string: strict servers accept parts of an assistant only with their original ids.

        Parts of a user's message fit two branches of `oneOf` in OpenAI's specification, EasyInputMessage and
        InputMessage, whatever else the message has: a validator that counts branches refuses every image. Only values
        that OpenAI does not document (`"status": null`) fit one of them.
        """
        content: str | list[dict[str, Any]] = message.text
        if not isinstance(message.content, str) and any(not isinstance(part, TextPart) for part in message.content):
            content = [await self._part(part, progress) for part in message.content]
        return {"type": "message", "role": message.role, "content": content}

    async def _part(self, part: TextPart | ImagePart | ImageFilePart, progress: Progress) -> dict[str, Any]:
        if isinstance(part, TextPart):
            return {"type": "input_text", "text": part.text}
        if isinstance(part, ImageFilePart):
            return {"type": "input_image", "file_id": part.image_file.file_id, "detail": part.image_file.detail}
        image = await asyncio.to_thread(self._spec.attachments.image, part.image_url.url)
        source = {"file_id": progress.uploaded[image]} if isinstance(image, int) else {"image_url": image}
        return {"type": "input_image", "detail": part.image_url.detail, **source}


async def batch_request(connection: Connection, spec: JobSpec, progress: Progress) -> dict[str, Any]:
    """Returns the job's next run as a request of the Batch API, without `background`."""
    requests = Requests(spec, store=connection.endpoint.supports.stored_responses, capabilities=connection.capabilities)
    body = await requests.first(progress.runs + 1, progress, current_time_note(connection.endpoint))
    return {name: value for name, value in body.items() if name != "background"}


def _results(outputs: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {"type": "function_call_output", "call_id": call_id, "output": output} for call_id, output in outputs.items()
    ]


def _kind_of(spec: JobSpec) -> ThreadKind | None:
    """Returns the stored kind of the thread. Older versions stored none; in that case the id shows it."""
    if spec.job.thread is None or spec.kept is None:
        return None
    return spec.kept.kind or ("chain" if spec.kept.has_transcript else "conversation")
