"""All the emulator holds, and what may be done to it. Time passes only through the injected clock."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from threadmill_emulator import wire
from threadmill_emulator.errors import (
    locked_for_messages,
    locked_for_runs,
    no_referenced_file,
    not_found,
)
from threadmill_emulator.files import Files
from threadmill_emulator.ids import new_id
from threadmill_emulator.markers import script_for
from threadmill_emulator.messages import Block, Message, last_input
from threadmill_emulator.replies import compose
from threadmill_emulator.runs import Run
from threadmill_emulator.scenarios import SCENARIOS, Script, fitted, mended
from threadmill_emulator.settings import assistant_settings, run_settings
from threadmill_emulator.stats import Stats
from threadmill_emulator.text import tokens
from threadmill_emulator.threads import Assistant, Thread
from threadmill_emulator.wire_runs import CreateRun


class World:
    def __init__(self, clock: Callable[[], float], run_s: float) -> None:
        self.clock, self.run_s = clock, run_s
        self.stats = Stats()
        self.files = Files(clock)
        self.threads: dict[str, Thread] = {}
        self.active: dict[str, Thread] = {}  #: the threads that have a live run
        self.scripted: Counter[str] = Counter()  #: runs that followed a script with `times`
        names = {f"asst_{name}": name for name in SCENARIOS}
        self.assistants = {id: Assistant(clock(), assistant_settings(name=name), id) for id, name in names.items()}

    def thread(self, id: str) -> Thread:
        if id not in self.threads:
            raise not_found("thread", id)
        self.settle(self.threads[id])
        return self.threads[id]

    def assistant(self, id: str) -> Assistant:
        if id not in self.assistants:
            raise not_found("assistant", id)
        return self.assistants[id]

    def create_thread(self, body: wire.CreateThread) -> Thread:
        for number, message in enumerate(body.messages or []):
            self.check_files(message, f"messages[{number}].")
        thread = Thread(self.clock(), body.metadata or {}, tool_resources(body.tool_resources))
        for message in body.messages or []:
            self._add(thread, message)
        self.threads[thread.id] = thread
        self.stats.threads_created += 1
        return thread

    def delete_thread(self, thread: Thread) -> None:
        if thread.active:
            self.stats.run_ended(thread.active, "deleted")
        self.active.pop(thread.id, None)
        del self.threads[thread.id]

    def add_message(self, thread: Thread, body: wire.CreateMessage) -> Message:
        if thread.active:
            raise locked_for_messages(thread.id, thread.active.id)
        self.check_files(body)
        return self._add(thread, body)

    def start_run(self, thread: Thread, body: CreateRun) -> Run:
        assistant = self.assistant(body.assistant_id)
        if thread.active:
            raise locked_for_runs(thread.id, thread.active.id)
        for number, message in enumerate(body.additional_messages or []):
            self.check_files(message, f"additional_messages[{number}].")
        for message in body.additional_messages or []:
            self._add(thread, message)
        prompt = last_input(thread.newest_first(), self.files.name)
        settings = run_settings(body, assistant)
        script = self._counted(script_for(assistant.id, prompt.marked), thread)
        run = Run(
            thread_id=thread.id,
            assistant_id=assistant.id,
            created=self.clock(),
            run_s=self.run_s if script.run_s is None else script.run_s,
            script=fitted(script, settings),
            prompt=prompt,
            settings=settings,
            metadata=body.metadata or {},
        )
        thread.runs[run.id] = run
        if len(self.active) >= self.stats.peak_runs:
            self.settle_all()  # runs that ended unobserved do not count
        thread.active, self.active[thread.id] = run, thread
        self.stats.runs_created += 1
        self.stats.peak_runs = max(self.stats.peak_runs, len(self.active))
        return run

    def settle_all(self) -> None:
        for thread in list(self.active.values()):
            self.settle(thread)

    def settle(self, thread: Thread) -> None:
        """Makes up for the time since the thread was last touched."""
        if run := thread.active:
            run.advance(self.clock())
            if run.is_terminal:
                self._deliver(thread, run)
                thread.active = None
                del self.active[thread.id]
                self.stats.run_ended(run, run.status)

    def _deliver(self, thread: Thread, run: Run) -> None:
        read = [message.text() for message in thread.messages.values()] + [run.settings["instructions"]]
        written = [call.arguments for asked in run.rounds for call in asked.calls]
        read += [call.output or "" for asked in run.rounds for call in asked.calls]
        if run.status in ("completed", "incomplete"):
            for content in compose(run, self.files):
                message = thread.add(_reply(run, content))
                written.append(message.text())
        if run.status != "expired":
            used, made = sum(map(tokens, read)), sum(map(tokens, written))
            run.usage = {"prompt_tokens": used, "completion_tokens": made, "total_tokens": used + made}

    def _counted(self, script: Script, thread: Thread) -> Script:
        if script.times is None:
            return script
        key = script.key or thread.id
        self.scripted[key] += 1
        return script if self.scripted[key] <= script.times else mended(script)

    def check_files(self, body: wire.CreateMessage, where: str = "") -> None:
        for number, attachment in enumerate(body.attachments or []):
            self._check_file(attachment.file_id, f"{where}attachments[{number}].file_id")
        for number, part in enumerate(body.content):
            if isinstance(part, wire.ImageFilePart):
                self._check_file(part.image_file.file_id, f"{where}content[{number}].image_file.file_id")

    def _check_file(self, id: str, param: str) -> None:
        if id not in self.files:
            raise no_referenced_file(id, param)

    def _add(self, thread: Thread, body: wire.CreateMessage) -> Message:
        attachments = [part.model_dump(exclude_unset=True) for part in body.attachments or []]
        return thread.add(
            Message(
                thread.id,
                self.clock(),
                body.role,
                _stored(body.content),
                attachments=attachments,
                metadata=body.metadata or {},
            )
        )


def tool_resources(body: wire.ToolResources | None) -> dict[str, Any]:
    """As stored: a vector store asked for in passing gets an id."""
    resources: dict[str, Any] = {}
    if body and body.code_interpreter:
        resources["code_interpreter"] = {"file_ids": body.code_interpreter.file_ids}
    if body and body.file_search:
        ids = (body.file_search.vector_store_ids or []) + [new_id("vs") for _ in body.file_search.vector_stores or []]
        resources["file_search"] = {"vector_store_ids": ids}
    return resources


def _stored(content: str | list[Any]) -> list[Block]:
    if isinstance(content, str):
        return [{"type": "text", "text": {"value": content, "annotations": []}}]
    return [
        {"type": "text", "text": {"value": part.text, "annotations": []}}
        if isinstance(part, wire.TextPart)
        else part.model_dump()
        for part in content
    ]


def _reply(run: Run, content: list[Block]) -> Message:
    reason = None
    if run.status == "incomplete":
        reason = "max_tokens"
        for block in content:
            if block["type"] == "text":
                block["text"]["value"] = block["text"]["value"][: len(block["text"]["value"]) // 2]
    plain = "string_content" in run.script.quirks
    return Message(
        run.thread_id,
        run.ended or run.created,
        "assistant",
        content[0]["text"]["value"] if plain else content,
        assistant_id=run.assistant_id,
        run_id=run.id,
        incomplete_reason=reason,
    )
