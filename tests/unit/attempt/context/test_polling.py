"""What webhooks change about the polls of one job."""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

from tests.unit.lifecycle.story import RUNNING, START

from threadmill_worker.attempt.context.polling import JobPolling
from threadmill_worker.lifecycle.polling import NO_PLAN
from threadmill_worker.lifecycle.progress import CurrentRun, Progress

BEFORE = Progress(deadline_at=START + 600, messages=1, run=CurrentRun(RUNNING, started_at=START, active_since=START))


async def is_ready(waiting: Coroutine[Any, Any, None]) -> bool:
    """Whether it returns without anything else happening."""
    task = asyncio.ensure_future(waiting)
    for _ in range(3):
        await asyncio.sleep(0)
    return task.done() or not task.cancel()


def test_only_arriving_webhooks_make_polls_rare() -> None:
    arriving: list[int] = []
    polling = JobPolling(arriving=lambda: bool(arriving))
    polling.observed(BEFORE, RUNNING, START)
    assert polling.plan == NO_PLAN
    arriving.append(1)
    assert polling.plan.webhooks


def test_an_endpoint_without_webhooks_is_polled_as_ever() -> None:
    polling = JobPolling()
    assert (polling.receives_webhooks, polling.plan) == (False, NO_PLAN)


def test_a_run_that_still_runs_after_its_webhook_is_polled_as_without_webhooks() -> None:
    polling = JobPolling(arriving=lambda: True)
    polling.run_ended(RUNNING.id)
    polling.observed(BEFORE, RUNNING, START)
    assert not polling.plan.webhooks
    polling.observed(BEFORE, replace(RUNNING, id="run_2"), START)
    assert polling.plan.webhooks, "the next run awaits its own webhook"


async def test_a_webhook_wakes_its_own_run_and_once() -> None:
    polling = JobPolling(arriving=lambda: True)
    polling.run_ended("run_other")
    assert not await is_ready(polling.run_end(RUNNING.id))
    polling.run_ended(RUNNING.id)
    polling.run_ended(RUNNING.id)
    assert await is_ready(polling.run_end(RUNNING.id))
    assert not await is_ready(polling.run_end(RUNNING.id))


def test_what_a_webhook_ends_is_learned_exactly() -> None:
    learned: list[float] = []
    polling = JobPolling(learn=learned.append, arriving=lambda: True)
    polling.observed(BEFORE, RUNNING, START)
    polling.run_ended(RUNNING.id)
    polling.observed(BEFORE, replace(RUNNING, status="completed"), START + 7)
    assert learned == [7]
