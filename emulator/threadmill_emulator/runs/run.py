"""A run. Its status follows from its script, the clock, and what the client sent.

Nothing runs in the background: `advance(now)` makes all changes that were due since the last call.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from threadmill_emulator.content.messages import Prompt
from threadmill_emulator.errors.api_error import no_late_outputs, not_cancellable, outputs_mismatch, takes_no_outputs
from threadmill_emulator.ids import new_id
from threadmill_emulator.runs.tool_calls import Round, make_calls
from threadmill_emulator.runs.work import Work
from threadmill_emulator.scripting.scenarios import TERMINAL, Script

NEVER = math.inf
QUEUED_SHARE = 0.1  #: the share of its working time that a run is queued


@dataclass
class Run:
    thread_id: str
    assistant_id: str
    created: float
    run_s: float
    script: Script
    prompt: Prompt
    settings: dict[str, Any]  #: the fields of the wire object that never change
    metadata: dict[str, str]
    id: str = field(default_factory=lambda: new_id("run"))
    status: str = "queued"
    started: float | None = None
    ended: float | None = None
    rounds: list[Round] = field(default_factory=list)
    polls: int = 0  #: how often requires_action was retrieved
    usage: dict[str, int] | None = None
    due: float = NEVER  #: when the status next changes by itself
    expires: float = NEVER
    shown_expiry: float = 0.0  #: the expiry that clients see; a run that hangs does not expire
    stretch: tuple[float, float] = (0.0, 0.0)  #: start and planned end of the current stretch of work
    coming: Round | None = None  #: the tool calls that it requests at the end of this stretch
    work: Work | None = None  #: the output of its last stretch, once generated
    halted: float | None = None  #: when it stopped working: cancelled, or ended
    on_change: Callable[[float], None] | None = None  #: called after each change of status, except the last

    def __post_init__(self) -> None:
        lives = self.run_s if self.script.ends == "expired" else self.script.expires_s
        self.shown_expiry = self.created + lives
        self.stretch = (self.created, self.created)
        if self.script.hangs is None:
            self.expires = self.shown_expiry
        self._queue(self.created)

    @property
    def is_terminal(self) -> bool:
        return self.status in TERMINAL

    @property
    def stopped_at(self) -> float | None:
        """When its last stretch of work ended; None: it is at work."""
        if self.is_terminal or self.status == "requires_action":
            return self.stretch[1] if self.ended is None else self.ended
        return None

    @property
    def asked(self) -> Round | None:
        """The tool calls that end its current stretch; None: it ends otherwise."""
        return self.rounds[-1] if self.status == "requires_action" else self.coming

    @property
    def is_answering(self) -> bool:
        """Whether it is writing its answer."""
        ends_well = self.script.ends in ("completed", "incomplete")
        return self.status == "in_progress" and not self.coming and not self.script.hangs and ends_well

    def advance(self, now: float) -> None:
        while not self.is_terminal and now >= min(self.due, self._expiry()):
            if self._expiry() <= self.due:
                self._end("expired", self.expires)
            else:
                self._next(self.due)

    def cancel(self, now: float) -> None:
        unwilling = "refuses_cancel" in self.script.quirks and self.status in ("queued", "requires_action")
        if self.is_terminal or self.status == "cancelling" or unwilling:
            raise not_cancellable(self.status)
        self.due, self.halted = now + self.script.cancel_s, now
        if self.script.lock:
            self.due = self.expires = NEVER
        self._become("cancelling", now)

    def fail(self, reason: str, now: float) -> None:
        self.script = replace(self.script, error=("server_error", reason))
        self._end("failed", now)

    def submit(self, outputs: dict[str, str], now: float) -> None:
        if self.status != "requires_action":
            for quirk, status in (("late_submit_404", 404), ("late_submit_500", 500)):
                if quirk in self.script.quirks:
                    raise no_late_outputs(status)
            raise takes_no_outputs(self.status)
        waiting = self.rounds[-1]
        missing = waiting.missing()
        partial = "single_outputs" in self.script.quirks and outputs and outputs.keys() <= set(missing)
        if outputs.keys() != set(missing) and not partial:
            raise outputs_mismatch(missing, outputs)
        for call in waiting.calls:
            call.output = outputs.get(call.id, call.output)
        if not waiting.missing():
            waiting.answered = now
            self._queue(now)

    def _queue(self, at: float) -> None:
        self.due = NEVER if self.script.hangs == "queued" else at + self._stretch_s() * QUEUED_SHARE
        self._become("queued", at)

    def _become(self, status: str, at: float) -> None:
        self.status = status
        if self.on_change:
            self.on_change(at)
        if status == "requires_action":
            self.on_change = None  # a stream ends here; the outputs may be submitted with another

    def _expiry(self) -> float:
        waits = self.status == "requires_action" and "late_expiry" in self.script.quirks
        return NEVER if waits else self.expires

    def _stretch_s(self) -> float:
        """Seconds of one stretch: all stretches between tool rounds take the same time."""
        return self.run_s / (self.script.rounds + 1)

    def _next(self, at: float) -> None:
        match self.status:
            case "queued":
                self.started = self.started or at
                self._work(at)
            case "in_progress" if self.coming:
                self.rounds.append(self.coming)
                self.due, self.polls, self.coming = NEVER, 0, None
                self._become("requires_action", at)
            case "cancelling":
                self._end(self.script.cancel_ends, at)
            case _:
                self._end(self.script.ends, at)

    def _work(self, at: float) -> None:
        if self.script.hangs:
            self.due = NEVER
            self._become(self.script.hangs, at)
            return
        self.due = at + self._stretch_s() * (1 - QUEUED_SHARE)
        self.stretch = (at, self.due)
        if len(self.rounds) < self.script.rounds:
            made = sum(len(earlier.calls) for earlier in self.rounds)
            self.coming = Round(at, make_calls(self.script, self.settings["tools"], self.prompt, made))
        self._become("in_progress", at)

    def _end(self, status: str, at: float) -> None:
        """Ends the run without calling `on_change`: ServerState calls it after it has added the run's messages."""
        self.status, self.ended, self.due = status, at, NEVER
        self.halted = at if self.halted is None else self.halted
