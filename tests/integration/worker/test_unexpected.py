"""Faults of the worker's own code and records it cannot use: each costs one job, at once, and says why."""

import pytest

from threadmill import FailureKind, JobState
from threadmill_worker.attempt.attempt import Attempt

pytestmark = pytest.mark.integration


async def test_an_unexpected_exception_fails_its_job_at_once(worker, monkeypatch):
    async def execute(self):
        raise KeyError("sk-a-secret")

    with monkeypatch.context() as patch:
        patch.setattr(Attempt, "execute", execute)
        result = await worker.run()

    assert (result.state, result.failure.kind) == (JobState.FAILED, FailureKind.INTERNAL_ERROR)
    assert result.attempts == 1
    assert "unexpected KeyError at test_unexpected.py:" in result.failure.message
    assert "sk-a-secret" not in result.failure.message
    assert (await worker.run()).ok, "the worker runs the next job"


@pytest.mark.parametrize(
    "field",
    [
        {"job": "{"},
        {"job": "zlib:!"},
        {"job": "zlib:AAAA"},
        {"job": '{"prompt": 7}'},
        {"job": "[" * 100_000},
        {"created_at": "yesterday"},
        {"attempts": "many"},
        {"progress": "{"},
        {"progress": "[]"},
        {"history": "{"},
    ],
    ids=str,
)
async def test_a_record_that_cannot_be_read_costs_one_job(worker, store, field):
    job_id = worker.create()
    store.hset(f"{worker.settings.key_prefix}:job:{job_id}", mapping=field)

    await worker.process.run(job_id, None)

    result = worker.client.wait(job_id, timeout_s=0)
    assert result.ok or result.failure.kind in (FailureKind.UNREADABLE, FailureKind.INTERNAL_ERROR)
    sound = await worker.run()
    assert sound.ok
    assert sound.job_id in [record.id for record in worker.client.jobs()], "lists go on without the damaged one"
