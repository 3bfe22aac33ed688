"""When to poll the runs of one job, and what they show about later ones."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from threadmill_worker.lifecycle.observations import ENDED, Observation, RunObservation, ThreadCreated
from threadmill_worker.lifecycle.polling import NO_PLAN, PollPlan, duration_s
from threadmill_worker.lifecycle.progress import CurrentRun, Progress


class JobPolling:
    """`learn` receives the durations of the job's runs, in seconds.

    `arriving`: whether webhooks of the endpoint arrive now; None: it sends none. `ran` receives how long each run took,
    as precisely as it is known. `ended_at`: when the last run ended, likewise; None: this attempt saw none end.
    """

    def __init__(
        self,
        plan: PollPlan = NO_PLAN,
        learn: Callable[[float], None] | None = None,
        arriving: Callable[[], bool] | None = None,
        ran: Callable[[float], None] | None = None,
    ) -> None:
        self.ended_at: float | None = None
        self._plan = plan
        self._learn = learn
        self._arriving = arriving
        self._ran = ran
        self._seen_at: float | None = None  #: when this attempt last observed a run
        self._seen_run: str | None = None  #: and which
        self._ended_run: str | None = None  #: the run that has ended, as the last webhook says
        self._webhook = asyncio.Event()

    @property
    def plan(self) -> PollPlan:
        """When to poll. A run that a webhook said has ended, but that has not, is polled as without webhooks."""
        if self._arriving is None or self._ended_run == self._seen_run or not self._arriving():
            return self._plan
        return replace(self._plan, webhooks=True)

    @property
    def receives_webhooks(self) -> bool:
        """Whether webhooks may say when the job's runs end."""
        return self._arriving is not None

    def run_ended(self, run_id: str) -> None:
        """Notes what a webhook says."""
        self._ended_run = run_id
        self._webhook.set()

    async def run_end(self, run_id: str) -> None:
        """Waits until a webhook says that this run has ended."""
        while not (self._webhook.is_set() and self._ended_run == run_id):
            self._webhook.clear()
            await self._webhook.wait()
        self._webhook.clear()

    def observed(self, before: Progress, seen: Observation, now: float) -> None:
        """Notes an observation of a job with the progress `before`."""
        if isinstance(seen, ThreadCreated) and seen.run is not None:
            self._seen_at, self._seen_run = now, seen.run.id
        if not isinstance(seen, RunObservation):
            return
        self._seen_run = seen.id
        if before.run is not None:
            self._time(before.run, seen, now)
        self._seen_at = now

    def _time(self, before: CurrentRun, seen: RunObservation, now: float) -> None:
        took_s = None
        if self._seen_at is not None:
            took_s = duration_s(before, self._seen_at, seen, now, at_once=self._ended_run == seen.id)
        if took_s is not None and self._learn is not None:
            self._learn(took_s)
        if seen.status in ENDED and before.status not in ENDED:
            self.ended_at = now if took_s is None else before.active_since + took_s
            if self._ran is not None:
                self._ran(self.ended_at - before.started_at)
