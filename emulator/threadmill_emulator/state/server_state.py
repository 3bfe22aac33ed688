"""All objects of the emulator and the operations on them. Time comes only from the injected clock."""

from collections.abc import Callable

from threadmill_emulator.chat.engine import Completions
from threadmill_emulator.content.messages import Block, Message, last_input
from threadmill_emulator.content.output import Sources
from threadmill_emulator.content.text import tokens
from threadmill_emulator.errors.api_error import locked_for_messages, locked_for_runs, not_found, unknown_parameter
from threadmill_emulator.responses.engine import Responses
from threadmill_emulator.runs.replies import compose
from threadmill_emulator.runs.run import Run
from threadmill_emulator.runs.settings import assistant_settings, run_settings
from threadmill_emulator.runs.starter import Starter
from threadmill_emulator.runs.stats import Stats
from threadmill_emulator.runs.threads import Assistant, Thread
from threadmill_emulator.runs.work import ServerStep, Work
from threadmill_emulator.schemas import wire
from threadmill_emulator.schemas.runs import CreateRun
from threadmill_emulator.schemas.threads import CreateThread, ToolResources
from threadmill_emulator.scripting.markers import script_for
from threadmill_emulator.scripting.options import Options
from threadmill_emulator.scripting.scenarios import SCENARIOS, ScriptUses, apply_settings
from threadmill_emulator.state.batch_work import starters
from threadmill_emulator.state.batches import Batches
from threadmill_emulator.storage import resources
from threadmill_emulator.storage.files import File, Files
from threadmill_emulator.storage.vector_stores import VectorStores


class ServerState:
    def __init__(self, clock: Callable[[], float], options: Options) -> None:
        self.clock, self.options = clock, options
        self.began = clock()
        self.stats = Stats()
        self.files = Files(clock)
        self.stores = VectorStores(clock, self.files, options)
        self.script_uses = ScriptUses()
        starter = Starter(clock, options, self.script_uses)
        self.responses = Responses(clock, options, self.files, self.stores, self.stats, starter)
        self.completions = Completions(clock, self.files, self.stats, starter)
        self.batches = Batches(clock, self.files, starters(self.responses, self.completions), options)
        self.threads: dict[str, Thread] = {}
        self.active: dict[str, Thread] = {}  #: threads with an active run
        self.plain_error_threads: set[str] = (
            set()
        )  #: ids of threads where "not found" is a plain 500, even after their deletion
        names = {f"asst_{name}": name for name in SCENARIOS}
        self.assistants = {id: Assistant(clock(), assistant_settings(name=name), id) for id, name in names.items()}

    def thread(self, id: str) -> Thread:
        if id not in self.threads:
            raise not_found("thread", id)
        self.advance(self.threads[id])
        return self.threads[id]

    def assistant(self, id: str) -> Assistant:
        if id not in self.assistants:
            raise not_found("assistant", id)
        return self.assistants[id]

    def tool_resources(self, body: ToolResources | None) -> resources.Resources:
        """Checks tool resources and returns them as stored; creates the vector stores that they describe."""
        if body and body.file_search and not self.options.offers("vector_stores"):
            raise unknown_parameter("tool_resources.file_search")
        resources.check(self.files, self.stores, body)
        return resources.kept(self.stores, body)

    def create_thread(self, body: CreateThread) -> Thread:
        for number, message in enumerate(body.messages or []):
            resources.check_message(self.files, message, f"messages[{number}].")
        thread = Thread(self.clock(), body.metadata or {}, self.tool_resources(body.tool_resources))
        for message in body.messages or []:
            self._add(thread, message)
        self.threads[thread.id] = thread
        self.stats.threads_created += 1
        return thread

    def delete_thread(self, thread: Thread) -> None:
        if thread.active:
            self.stats.run_ended(thread.active, "deleted")
        thread.active = None
        self.active.pop(thread.id, None)
        del self.threads[thread.id]

    def add_message(self, thread: Thread, body: wire.CreateMessage) -> Message:
        if thread.active and "no_lock" not in thread.quirks:
            raise locked_for_messages(thread.id, thread.active.id)
        resources.check_message(self.files, body)
        return self._add(thread, body)

    def start_run(self, thread: Thread, body: CreateRun) -> Run:
        assistant = self.assistant(body.assistant_id)
        if thread.active and "no_lock" not in thread.quirks:
            raise locked_for_runs(thread.id, thread.active.id)
        for number, message in enumerate(body.additional_messages or []):
            resources.check_message(self.files, message, f"additional_messages[{number}].")
        if thread.active:
            thread.active.fail("Another run was started on the thread.", self.clock())
            self.advance(thread)
        for message in body.additional_messages or []:
            self._add(thread, message)
        sees_image_files = "ignores_image_files" not in self.options.extras
        prompt = last_input(reversed(thread.messages.values()), self.files, sees_image_files=sees_image_files)
        settings = run_settings(body, assistant)
        script = self.script_uses.take(script_for(assistant.id, prompt.marked, self.options.run_quirks), thread.id)
        if "ignores_tools" in script.quirks:
            settings["tools"] = assistant.settings["tools"]
        run = Run(
            thread_id=thread.id,
            assistant_id=assistant.id,
            created=self.clock(),
            run_s=self.options.run_s if script.run_s is None else script.run_s,
            script=apply_settings(script, settings),
            prompt=prompt,
            settings=settings,
            metadata=body.metadata or {},
        )
        thread.runs[run.id] = run
        if "plain_not_found" in script.quirks:
            self.plain_error_threads.add(thread.id)
        if len(self.active) >= self.stats.peak_runs:
            self.advance_all()  # so that runs that have ended do not count
        thread.active, self.active[thread.id] = run, thread
        self.stats.runs_created += 1
        self.stats.peak_runs = max(self.stats.peak_runs, len(self.active))
        return run

    def advance_all(self) -> None:
        for thread in list(self.active.values()):
            self.advance(thread)

    def advance(self, thread: Thread) -> None:
        """Advances the thread's active run to the current time."""
        if run := thread.active:
            run.advance(self.clock())
            if run.is_terminal:
                self._deliver(thread, run)
                thread.active = None
                del self.active[thread.id]
                self.stats.run_ended(run, run.status)
                if run.on_change:
                    run.on_change(self.clock() if run.ended is None else run.ended)
                    run.on_change = None

    def plan_work(self, thread: Thread, run: Run) -> Work:
        """Returns the output of the run's last stretch, which is generated once."""
        if run.work is None:
            history = tuple(message.text() for message in thread.messages.values())
            sources = Sources(self.files, self.files, self._searchable(thread, run), thread.has_picture, history)
            made = compose(run, sources)
            run.work = Work(list(map(ServerStep, made.calls)), [_reply(run, content) for content in made.contents])
            run.work.spread(run.stretch[0], run.stretch[1] if run.ended is None else run.ended)
        return run.work

    def _searchable(self, thread: Thread, run: Run) -> list[File]:
        assistant = self.assistants.get(run.assistant_id)
        of_both = [thread.tool_resources, assistant.settings["tool_resources"] if assistant else {}]
        ids = [id for own in of_both for id in own.get("file_search", {}).get("vector_store_ids", [])]
        return self.stores.searchable(ids)

    def _deliver(self, thread: Thread, run: Run) -> None:
        read = [message.text() for message in thread.messages.values()] + [run.settings["instructions"]]
        written = [call.arguments for asked in run.rounds for call in asked.calls]
        read += [call.output or "" for asked in run.rounds for call in asked.calls]
        for message in self._said(thread, run):
            written.append(thread.add(message).text())
        if run.status != "expired":
            used, made = run.script.usage(sum(map(tokens, read)), sum(map(tokens, written)))
            run.usage = {"prompt_tokens": used, "completion_tokens": made, "total_tokens": used + made}

    def _said(self, thread: Thread, run: Run) -> list[Message]:
        if run.status in ("completed", "incomplete"):
            said = self.plan_work(thread, run).messages
            for message in said:
                message.incomplete_reason = "max_tokens" if run.status == "incomplete" else None
                if "string_content" in run.script.quirks:
                    message.content = message.text()
            return said
        if run.on_change and run.work and run.halted is not None:
            return run.work.cut_off(run.halted, f"run_{run.status}", run.script.deltas)
        return []

    def _add(self, thread: Thread, body: wire.CreateMessage) -> Message:
        attachments = [part.model_dump(exclude_unset=True) for part in body.attachments or []]
        resources.attach(self.stores, thread.tool_resources, body, self.options.offers("vector_stores"))
        return thread.add(
            Message(
                thread.id,
                self.clock(),
                body.role,
                wire.blocks(body.content),
                attachments=attachments,
                metadata=body.metadata or {},
            )
        )


def _reply(run: Run, content: list[Block]) -> Message:
    return Message(run.thread_id, run.stretch[0], "assistant", content, assistant_id=run.assistant_id, run_id=run.id)
