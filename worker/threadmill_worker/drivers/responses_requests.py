"""What we send to Responses servers: the body of POST /responses, for a run and for each round of its tools."""

import asyncio
from collections.abc import Mapping
from itertools import chain
from typing import Any

from threadmill.errors import InvalidJob
from threadmill.message import ImageFilePart, ImagePart, Message, TextPart
from threadmill_worker.drivers.driver import Order, misfit_note
from threadmill_worker.drivers.marks import mark
from threadmill_worker.drivers.responses_wire import is_chain
from threadmill_worker.drivers.tiers import fields_of
from threadmill_worker.progress import Progress
from threadmill_worker.views import ToolCall

#: Fields that the Responses API requires of every function, and the Assistants API does not.
_FUNCTION: dict[str, Any] = {"strict": False, "parameters": {"type": "object", "properties": {}}}

#: What a response shows of its steps only when asked for it.
STEP_DETAILS = ["code_interpreter_call.outputs", "file_search_call.results"]


def run_name(ordinal: int) -> str:
    """What the first response of a run is marked with."""
    return f"run-{ordinal}"


def round_name(progress: Progress) -> str:
    """What the response is marked with that takes the outputs of the current run's last calls."""
    return f"{run_name(progress.runs)}-{progress.rounds + 1}"


class Requests:
    """Writes for one job; only what it and its profile ask for. What a round repeats: instructions, model and tools."""

    def __init__(self, order: Order, *, store: bool = True) -> None:
        self._order = order
        self._store = store

    async def first(self, ordinal: int, progress: Progress, time_note: str | None) -> dict[str, Any]:
        """The whole conversation of the job, asked for an answer."""
        messages = await self._messages(progress)
        return {"input": messages, **self._settings(run_name(ordinal), progress, time_note), **self._place(progress)}

    async def round(
        self, progress: Progress, outputs: dict[str, str], previous: str, time_note: str | None
    ) -> dict[str, Any]:
        """The outputs of all calls of the last round; after all that went before, where the server does not keep it."""
        place = self._place(progress)
        settings = self._settings(round_name(progress), progress, time_note)
        if "conversation" in place:
            return {"input": _results(outputs), **settings, **place}
        if self._store and (progress.run is None or progress.run.is_kept):
            return {"input": _results(outputs), **settings, "previous_response_id": previous}
        latest = progress.run.calls if progress.run else ()
        rounds = [
            [*map(_call, calls), *_results({call.id: progress.outputs[call.id] for call in calls})]
            for calls in (*progress.past_calls, latest)
        ]
        return {"input": [*await self._messages(progress), *chain.from_iterable(rounds)], **settings, **place}

    def conversation(self, progress: Progress) -> str | None:
        """The conversation that the job runs in, if any."""
        return self._place(progress).get("conversation")

    def names_nothing(self, progress: Progress) -> bool:
        """Whether a run of the job starts without a conversation or a previous response."""
        return not self._place(progress)

    def _place(self, progress: Progress) -> dict[str, Any]:
        """What it goes on from, if there is anything: a conversation, or the last response of a chain."""
        thread_id = self._order.job.thread or progress.thread_id
        if not thread_id:
            return {}
        if not is_chain(thread_id):
            return {"conversation": thread_id}
        return {"previous_response_id": self._order.latest or thread_id} if self._order.job.thread else {}

    def _settings(self, what: str, progress: Progress, time_note: str | None) -> dict[str, Any]:
        job, profile = self._order.job, self._order.profile
        notes = [self._order.instructions, job.additional_instructions, time_note, misfit_note(progress)]
        effort = profile and profile.reasoning_effort
        form = job.response_format or (profile and profile.response_format)
        fields = {
            "model": self._order.model,
            "instructions": "\n".join(note for note in notes if note) or None,
            "tools": self._tools(progress),
            "tool_choice": _flat_choice(job.tool_choice),
            "include": STEP_DETAILS if job.include_steps else None,
            "text": {"format": _flat(form, "json_schema")} if isinstance(form, dict) else None,
            "temperature": _first(job.temperature, profile and profile.temperature),
            "top_p": _first(job.top_p, profile and profile.top_p),
            "max_output_tokens": job.max_completion_tokens,
            "truncation": job.truncation and job.truncation.get("type"),
            "parallel_tool_calls": job.parallel_tool_calls,
            "reasoning": {"effort": effort} if effort else None,
            "metadata": job.metadata | mark(self._order.mark, what),
            "background": True,
            "store": self._store,
            **fields_of(progress.lane_asked, self._order.mark),
        }
        return {name: value for name, value in fields.items() if value is not None}

    def _tools(self, progress: Progress) -> list[dict[str, Any]] | None:
        """Function tools are flat here, and the server's own say what they work on."""
        if self._order.tools is None:
            return None
        return [self._tool(tool, progress) for tool in self._order.tools]

    def _tool(self, tool: dict[str, Any], progress: Progress) -> dict[str, Any]:
        match tool.get("type"):
            case "function" if isinstance(tool.get("function"), dict):
                return {**_FUNCTION, **_flat(tool, "function")}
            case "file_search":
                own = [progress.store.id] if progress.store is not None else []
                stores = [*own, *self._resources("file_search", "vector_store_ids")]
                return _with_ids(_flat(tool, "file_search"), "vector_store_ids", stores)
            case "code_interpreter":
                files = self._order.materials.files_for("code_interpreter", progress.uploaded)
                ids = [*files, *self._resources("code_interpreter", "file_ids")]
                container = tool.get("container") or {"type": "auto"}
                if isinstance(container, dict):
                    return {**tool, "container": _with_ids(container, "file_ids", ids)}
                if files:
                    raise InvalidJob(
                        f"`tools`: files cannot be put into the container {container!r} that code_interpreter names; "
                        "leave the container out, or the files"
                    )
        return tool

    def _resources(self, tool: str, what: str) -> list[str]:
        """What the profile's tool works on."""
        resources = self._order.profile and self._order.profile.tool_resources
        of_tool = (resources or {}).get(tool)
        ids = of_tool.get(what) if isinstance(of_tool, dict) else None
        return [str(each) for each in ids] if isinstance(ids, list) else []

    async def _messages(self, progress: Progress) -> list[dict[str, Any]]:
        return [await self._message(each, progress) for each in self._order.job.conversation]

    async def _message(self, message: Message, progress: Progress) -> dict[str, Any]:
        """Text alone is sent as a string: strict servers take an assistant's parts only with the ids they once had."""
        content: str | list[dict[str, Any]] = message.text
        if not isinstance(message.content, str) and any(not isinstance(part, TextPart) for part in message.content):
            content = [await self._part(part, progress) for part in message.content]
        return {"type": "message", "role": message.role, "content": content}

    async def _part(self, part: TextPart | ImagePart | ImageFilePart, progress: Progress) -> dict[str, Any]:
        if isinstance(part, TextPart):
            return {"type": "input_text", "text": part.text}
        if isinstance(part, ImageFilePart):
            return {"type": "input_image", "file_id": part.image_file.file_id, "detail": part.image_file.detail}
        image = await asyncio.to_thread(self._order.materials.image, part.image_url.url)
        source = {"file_id": progress.uploaded[image]} if isinstance(image, int) else {"image_url": image}
        return {"type": "input_image", "detail": part.image_url.detail, **source}


def _with_ids(tool: dict[str, Any], field: str, ids: list[str]) -> dict[str, Any]:
    """The same, working on these too."""
    given = tool.get(field)
    return {**tool, field: list(dict.fromkeys([*ids, *(given if isinstance(given, list) else ())]))}


def _results(outputs: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {"type": "function_call_output", "call_id": call_id, "output": output} for call_id, output in outputs.items()
    ]


def _call(call: ToolCall) -> dict[str, Any]:
    return {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": call.arguments}


def _flat(value: dict[str, Any], name: str) -> dict[str, Any]:
    """{"type": T, T: {...}} of the Assistants API -> {"type": T, ...}"""
    inner = value.get(name)
    return {"type": value["type"], **inner} if isinstance(inner, dict) else dict(value)


def _flat_choice(choice: Any) -> Any:
    return _flat(choice, "function") if isinstance(choice, dict) else choice


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)
