"""When to poll the runs of one job, and what they show about later ones."""

from collections.abc import Callable

from threadmill_worker.lifecycle.observations import Observation, RunObservation, ThreadCreated
from threadmill_worker.lifecycle.polling import NO_PLAN, PollPlan, duration_s
from threadmill_worker.lifecycle.progress import Progress


class JobPolling:
    """`plan` says when to poll. `learn` receives the durations of the job's runs, in seconds."""

    def __init__(self, plan: PollPlan = NO_PLAN, learn: Callable[[float], None] | None = None) -> None:
        self.plan = plan
        self._learn = learn
        self._seen_at: float | None = None  #: when this attempt last observed a run

    def observed(self, before: Progress, seen: Observation, now: float) -> None:
        """Notes an observation of a job with the progress `before`."""
        if isinstance(seen, ThreadCreated) and seen.run is not None:
            self._seen_at = now
        if not isinstance(seen, RunObservation):
            return
        if self._learn is not None and self._seen_at is not None and before.run is not None:
            took_s = duration_s(before.run, self._seen_at, seen, now)
            if took_s is not None:
                self._learn(took_s)
        self._seen_at = now
