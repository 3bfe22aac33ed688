"""Starts the runs of responses and chat completions, which have neither thread nor assistant."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from threadmill_emulator.content.messages import Prompt
from threadmill_emulator.runs.run import Run
from threadmill_emulator.runs.tiers import FlexCapacity
from threadmill_emulator.runs.tool_calls import Round
from threadmill_emulator.scripting.markers import script_for
from threadmill_emulator.scripting.options import Options
from threadmill_emulator.scripting.scenarios import ScriptUses, apply_settings, without_thread


@dataclass(frozen=True)
class RunRequest:
    """What is asked of a run."""

    model: str  #: names the scenario, if no marker does
    prompt: Prompt
    settings: dict[str, Any]
    rounds: list[Round]  #: the tool calls that were answered before
    tier: str | None
    metadata: dict[str, str]
    run_s: float | None = None  #: overrides the scenario
    counted_by: str | None = None  #: what `times` counts by; default: the prompt


@dataclass
class Starter:
    clock: Callable[[], float]
    options: Options
    script_uses: ScriptUses
    _flex: FlexCapacity = field(default_factory=FlexCapacity)

    def start(self, request: RunRequest, quirks: frozenset[str]) -> Run:
        """Raises ApiError if a marker is invalid, or flex processing has no capacity.

        `quirks`: those that apply to this API.
        """
        key = request.counted_by or request.prompt.marked
        script = script_for(request.model, request.prompt.marked, self.options.run_quirks)
        self._flex.take(request.tier, script, key)
        script = without_thread(self.script_uses.take(script, key), quirks)
        run_s = request.run_s
        if run_s is None:
            run_s = self.options.run_s if script.run_s is None else script.run_s
        return Run(
            thread_id="",
            assistant_id="",
            created=self.clock(),
            run_s=run_s,
            script=apply_settings(script, request.settings),
            prompt=request.prompt,
            settings=request.settings,
            metadata=request.metadata,
            rounds=request.rounds,
        )
