"""Faults of the worker's own code and records it cannot use: each costs one job, at once, and says why."""

import pytest

from threadmill import FailureKind, JobState
from threadmill_worker.runner import Attempt

pytestmark = pytest.mark.integration


async def test_an_unexpected_exception_fails_its_job_at_once(worker, monkeypatch):
    async def see_through(self):
        raise KeyError("sk-a-secret")

    with monkeypatch.context() as patch:
        patch.setattr(Attempt, "see_through", see_through)
        result = await worker.run()

    assert (result.state, result.failure.kind) == (JobState.FAILED, FailureKind.INTERNAL_ERROR)
    assert result.attempts == 1
    assert "unexpected KeyError at test_unexpected.py:" in result.failure.message
    assert "sk-a-secret" not in result.failure.message
    assert (await worker.run()).ok, "the worker runs the next job"
