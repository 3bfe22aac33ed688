"""What an attempt saves when its pool limits the starts, and when it does not."""

import asyncio
from itertools import pairwise
from typing import Any

from structlog.testing import capture_logs
from tests.unit.attempt.test_attempt_properties import World
from tests.unit.lifecycle.model_server import Life, ModelServer
from tests.unit.lifecycle.model_worker import Fault

from threadmill.job.prompt import PromptJob
from threadmill.job.result import JobResult
from threadmill_worker.lifecycle.progress import Intent, Progress
from threadmill_worker.store.jobs import AwaitedRun, Lease, Postponed


class Pool(World):
    """Remembers what is saved. The first starts wait, each for so long."""

    def __init__(self, *waits_s: float, life: Life = Life(), faults: tuple[Fault, ...] = ()) -> None:  # noqa: B008
        super().__init__(ModelServer([life]), list(faults), PromptJob(prompt="Well?"))
        self.waits_s = list(waits_s)
        self.asked: list[tuple[Progress, dict[str, Any] | None, list[dict[str, Any]]]] = []
        self.asked_at: list[float] = []

    async def save(
        self,
        lease: Lease,
        progress: Progress,
        start: dict[str, Any] | None,
        news: list[dict[str, Any]],
        awaited: AwaitedRun | None,
        timeline: str | None,
    ) -> Postponed | None:
        self.asked.append((progress, start, news))
        if start is not None:
            self.asked_at.append(self.now)
            if self.waits_s:
                wait_s = self.waits_s.pop(0)
                return Postponed(self.now + wait_s, "requests_per_minute", f"1 {self.now + wait_s}")
        return await super().save(lease, progress, None, news, awaited, timeline)

    def run(self) -> JobResult:
        return asyncio.run(self.execute())

    @property
    def intents(self) -> list[Intent | None]:
        return [progress.intent for progress, start, _ in self.asked if start is None]

    @property
    def news(self) -> list[str]:
        return [each["kind"] for _, _, news in self.asked for each in news]


def test_starts_that_are_not_limited_cost_no_further_save() -> None:
    pool = Pool(life=Life(rounds=1))
    assert pool.run().ok
    saved = [progress for progress, _, _ in pool.asked]
    assert all(later != earlier for earlier, later in pairwise(saved))
    assert [progress.intent for progress, start, _ in pool.asked if start] == [Intent.START_RUN, Intent.SUBMIT_OUTPUTS]
    assert pool.news == ["accepted", "accepted"]


def test_a_start_asks_exactly_when_its_pool_says_and_shows_its_place() -> None:
    pool = Pool(1.5, 0.25)
    result = pool.run()
    first, second, third = pool.asked_at
    assert (round(second - first, 6), round(third - second, 6)) == (1.5, 0.25)
    tickets = [start.get("ticket") for _, start, _ in pool.asked if start]
    assert tickets == [None, f"1 {second}", f"1 {third}"]
    assert result.timings.limited_s == 1.75
    assert (result.ok, result.runs) == (True, 1)


def test_a_short_wait_is_not_saved_and_a_long_one_is() -> None:
    unlimited, short, long = Pool(), Pool(1.5), Pool(20.0)
    for pool in (unlimited, short, long):
        pool.run()
    assert len(short.asked) == len(unlimited.asked) + 1
    assert [progress.run for progress, _, _ in short.asked].count(None) == (
        [progress.run for progress, _, _ in unlimited.asked].count(None) + 1
    )
    assert len(long.asked) == len(unlimited.asked) + 2
    shown = next(progress.limited for progress, start, _ in long.asked if progress.limited and not start)
    assert shown.reason == "requests_per_minute"


def test_a_long_wait_is_logged_and_a_short_one_only_for_debugging() -> None:
    with capture_logs() as logs:
        Pool(1.5, 20.0).run()
    lines = [line for line in logs if line["event"] == "start limited"]
    assert [(line["log_level"], line["wait_s"]) for line in lines] == [("debug", 1.5), ("info", 20.0)]


def test_no_intent_is_saved_while_a_start_waits() -> None:
    pool = Pool(20.0)
    pool.run()
    assert Intent.START_RUN not in pool.intents
