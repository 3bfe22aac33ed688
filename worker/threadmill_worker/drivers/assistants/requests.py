"""Builds the bodies of threads, messages and runs for Assistants servers."""

import asyncio
from typing import Any

from threadmill.job.message import ImageFilePart, ImagePart, Message, TextPart
from threadmill_worker.drivers.requests.job_spec import JobSpec
from threadmill_worker.drivers.requests.notes import schema_error_note
from threadmill_worker.drivers.requests.tags import tag
from threadmill_worker.lifecycle.progress import Progress


class Requests:
    """The requests of one job. Fields that it does not set are omitted."""

    def __init__(self, spec: JobSpec) -> None:
        self._spec = spec
        self._conversation = spec.job.conversation

    async def thread(self, messages: int, progress: Progress) -> dict[str, Any]:
        """Returns the body of POST /threads, with the job's first messages."""
        first = [await self.message(index, progress) for index in range(messages)]
        fields = {
            "messages": first,
            "metadata": self._spec.job.metadata or None,
            "tool_resources": self.resources(progress) or None,
        }
        return {name: value for name, value in fields.items() if value is not None}

    def resources(self, progress: Progress) -> dict[str, Any]:
        """Returns the files and stores that the tools of a thread may use."""
        resources: dict[str, Any] = {}
        code_files = self._spec.attachments.files_for("code_interpreter", progress.uploaded)
        if code_files and not progress.features.continues:
            resources["code_interpreter"] = {"file_ids": list(code_files)}
        if progress.store is not None and progress.store.own:
            resources["file_search"] = {"vector_store_ids": [progress.store.id]}
        return resources

    async def message(self, index: int, progress: Progress) -> dict[str, Any]:
        """Returns the body of POST /messages for one message of the job."""
        message = self._conversation[index]
        is_last = index == len(self._conversation) - 1
        fields = {
            "role": message.role,
            "content": await self._content(message, progress.uploaded),
            "attachments": self._attachments(progress) if is_last and progress.features.continues else None,
            "metadata": tag(self._spec.tag, f"message-{index}"),
        }
        return {name: value for name, value in fields.items() if value}

    def _attachments(self, progress: Progress) -> list[dict[str, Any]]:
        """Returns the files for a thread that existed before the job. If it has no vector store, it gets the job's."""
        tools: dict[str, list[str]] = {}
        for tool in ("code_interpreter", "file_search"):
            if tool == "code_interpreter" or (progress.store is not None and not progress.store.own):
                for file_id in self._spec.attachments.files_for(tool, progress.uploaded):
                    tools.setdefault(file_id, []).append(tool)
        return [{"file_id": file_id, "tools": [{"type": each} for each in of]} for file_id, of in tools.items()]

    async def _content(self, message: Message, uploaded: tuple[str, ...]) -> Any:
        if isinstance(message.content, str):
            return message.content
        return [await self._part(part, uploaded) for part in message.content]

    async def _part(self, part: TextPart | ImagePart | ImageFilePart, uploaded: tuple[str, ...]) -> dict[str, Any]:
        if not isinstance(part, ImagePart):
            return part.model_dump(mode="json")
        image, detail = await asyncio.to_thread(self._spec.attachments.image, part.image_url.url), part.image_url.detail
        if isinstance(image, int):
            return {"type": "image_file", "image_file": {"file_id": uploaded[image], "detail": detail}}
        return {"type": "image_url", "image_url": {"url": image, "detail": detail}}

    def run(self, ordinal: int, progress: Progress, current_time_note: str | None) -> dict[str, Any]:
        """Returns the body of POST /runs. `current_time_note`: added to the instructions."""
        job = self._spec.job
        notes = [job.additional_instructions, current_time_note, schema_error_note(progress)]
        fields = {
            "assistant_id": self._spec.assistant,
            "instructions": self._spec.instructions,
            "additional_instructions": "\n".join(note for note in notes if note) or None,
            "model": self._spec.model,
            "tools": self._spec.tools,
            "tool_choice": job.tool_choice,
            "response_format": job.response_format,
            "temperature": job.temperature,
            "top_p": job.top_p,
            "max_prompt_tokens": job.max_prompt_tokens,
            "max_completion_tokens": job.max_completion_tokens,
            "truncation_strategy": job.truncation,
            "parallel_tool_calls": job.parallel_tool_calls,
            "metadata": job.metadata | tag(self._spec.tag, f"run-{ordinal}"),
        }
        return {name: value for name, value in fields.items() if value is not None}
