"""Creates, advances and drops chat completions. Each is one stretch of work of a run, and is forgotten at its end."""

from collections.abc import Callable

from threadmill_emulator.chat import history
from threadmill_emulator.chat.checks import check
from threadmill_emulator.chat.completion import Completion, Said, cut, said
from threadmill_emulator.content.output import Sources
from threadmill_emulator.runs.replies import compose
from threadmill_emulator.runs.settings import chat_settings
from threadmill_emulator.runs.starter import RunRequest, Starter
from threadmill_emulator.runs.stats import Stats
from threadmill_emulator.schemas.chat import CreateCompletion
from threadmill_emulator.scripting.scenarios import QUIRKS_OF_CHAT
from threadmill_emulator.storage.files import Files


class Completions:
    def __init__(self, clock: Callable[[], float], files: Files, stats: Stats, starter: Starter) -> None:
        self._clock, self._files, self._stats, self._starter = clock, files, stats, starter
        self._quirks = starter.options.extras
        self.active: dict[str, Completion] = {}
        self.created = 0  #: how many have been created
        self.peak = 0  #: the largest number of active completions at one time

    def check(self, body: CreateCompletion) -> None:
        """Raises ApiError if the request is refused."""
        check(body, self._files, self._starter.options)

    def create(self, body: CreateCompletion, run_s: float | None = None) -> Completion:
        """`body`: a checked request. `run_s` overrides the scenario. Raises ApiError if a marker is invalid."""
        request = RunRequest(
            model=body.model,
            prompt=history.prompt(body.messages, self._files),
            settings=chat_settings(body),
            rounds=history.rounds(body.messages),
            tier=body.service_tier,
            metadata=body.metadata or {},
            run_s=run_s,
        )
        completion = Completion(body, self._starter.start(request, QUIRKS_OF_CHAT), self._quirks)
        if "repeated_ids" in self._quirks:
            completion.shown_id = f"chatcmpl-{self.created % 3}"
        if len(self.active) >= self.peak:
            self.advance_all()  # so that completions that have ended do not count
        self.active[completion.id] = completion
        self.created += 1
        self.peak = max(self.peak, len(self.active))
        self._stats.asked[hash(repr(body.messages))] += 1
        self._stats.outputs.update(history.new_outputs(body.messages))
        return completion

    def leave(self, completion: Completion) -> None:
        """Ends a completion that nobody waits for any more."""
        self.advance(completion)
        if completion.id in self.active:
            self._forget(completion, "hung_up")

    def advance_all(self) -> None:
        for completion in list(self.active.values()):
            self.advance(completion)

    def advance(self, completion: Completion) -> None:
        """Advances the completion to the current time."""
        run = completion.run
        if completion.id not in self.active:
            return
        run.advance(self._clock())
        if (ended := run.stopped_at) is None:
            return
        spoke = run.status in ("completed", "incomplete", "requires_action")
        completion.end(ended, self.plan(completion) if spoke else Said())
        self._forget(completion, run.status)
        if completion.transcript:
            completion.transcript.changed(ended)

    def plan(self, completion: Completion) -> Said:
        """Returns the message of the completion, which is generated once."""
        run = completion.run
        if completion.planned is None:
            if run.asked:
                completion.planned = Said(calls=tuple(run.asked.calls))
            else:
                scratch = Files(self._clock)  # no client can read the files that it makes
                sources = Sources(scratch, scratch, history=history.earlier(completion.asked.messages))
                planned = said(compose(run, sources))
                limit = completion.asked.token_limit if "cuts_answers" in self._quirks else None
                completion.planned = cut(planned, limit)
        return completion.planned

    def _forget(self, completion: Completion, status: str) -> None:
        del self.active[completion.id]
        self._stats.completion_ended(completion.id, completion.run.metadata, status, completion.usage)
