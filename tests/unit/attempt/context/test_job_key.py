"""Which key of its endpoint a job uses."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from threadmill import JobState, PromptJob
from threadmill.settings.endpoints.endpoint import Endpoint
from threadmill.store.records.job import JobRecord
from threadmill_worker.attempt.context.job_key import key_of
from threadmill_worker.lifecycle.progress import Progress

ENDPOINT = {"kind": "assistants", "base_url": "http://server", "assistant": "asst_1"}
SEVERAL = Endpoint.model_validate(ENDPOINT | {"api_key_envs": ["K1", "K2", "K3"]})
ONE = Endpoint.model_validate(ENDPOINT | {"api_key_env": "K1"})
NONE = Endpoint.model_validate(ENDPOINT)


class Store:
    """Knows the keys of a thread and of an applied profile."""

    async def kept_thread(self, endpoint, thread):
        return SimpleNamespace(key="K3") if (endpoint, thread) == ("e", "thread_1") else None

    async def applied(self, endpoint, profile):
        return SimpleNamespace(key="K2") if (endpoint, profile) == ("e", "support") else None


async def key(endpoint=SEVERAL, *, progress=None, pool=None, **fields):
    job = PromptJob.parse({"prompt": "Hi", **fields})
    record = JobRecord(
        id="job",
        state=JobState.RUNNING,
        job=job,
        created_at=datetime.now(UTC),
        pool=pool,
        progress=progress and progress.to_json(),
    )
    return await key_of(record, "e", endpoint, Store())


@pytest.mark.parametrize("endpoint", [ONE, NONE])
async def test_one_key_needs_no_name(endpoint):
    assert await key(endpoint, pool="e", thread="thread_1") is None


async def test_a_job_uses_the_key_of_its_pool_or_else_the_first():
    assert await key(pool="e/m@K2") == "K2"
    assert await key() == "K1"
    assert await key(pool="e") == "K1", "its endpoint had one key when it was dispatched"
    assert await key(pool="another@K2") == "K1"


async def test_a_job_uses_the_key_of_what_it_names():
    assert await key(pool="e@K1", thread="thread_1") == "K3"
    assert await key(pool="e@K1", profile="support") == "K2"
    assert await key(pool="e@K2", thread="thread_of_others") == "K2"


async def test_a_job_keeps_the_key_that_it_began_with():
    assert await key(pool="e@K1", thread="thread_1", progress=Progress(0, 1, key="K2")) == "K2"
    assert await key(ONE, progress=Progress(0, 1, key="K2")) == "K2", "though the settings no longer have it"
    assert await key(pool="e@K2", progress=Progress(0, 1)) == "K1", "its endpoint had one key then"
