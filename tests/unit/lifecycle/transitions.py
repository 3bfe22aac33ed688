"""Checks each step of a job against the table of its state machine, and notes the transitions it takes."""

from threadmill_worker.lifecycle.actions import Action
from threadmill_worker.lifecycle.progress import Progress
from threadmill_worker.lifecycle.state import TRANSITIONS, Phase, phase_of

Transition = tuple[Phase, type[Action], Phase]


class Transitions:
    def __init__(self) -> None:
        self.taken: set[Transition] = set()
        self._last: tuple[Phase, type[Action]] | None = None

    def step(self, progress: Progress, action: Action) -> None:
        """The job has come to `progress`, and takes this action next."""
        phase = phase_of(progress)
        if self._last is not None:
            before, last = self._last
            assert last in TRANSITIONS[before], f"no {last.__name__} while {before}"
            allowed = {before, Phase.CLEANING_UP, *TRANSITIONS[before][last]}
            assert phase in allowed, f"{last.__name__} leads from {before} to {phase}"
            self.taken.add((before, last, phase))
        self._last = phase, type(action)

    def forget(self) -> None:
        """The job continues from its saved progress."""
        self._last = None
