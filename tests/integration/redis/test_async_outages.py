"""Redis is away while tasks wait on AsyncClient: they continue when it is back, or say that it is away."""

import asyncio

import pytest
from tests.own_redis import own_redis

from threadmill import AsyncClient, Client, StoreRefused, StoreUnavailable
from threadmill_cli.local.services import free_port

pytestmark = pytest.mark.integration

PATIENCE_S = 60


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def own(make_settings, base_url, port):
    return lambda **fields: make_settings(base_url, redis_url=f"redis://127.0.0.1:{port}/0", **fields)


async def first_event(client: AsyncClient, job_id: str) -> tuple[asyncio.Task, asyncio.Task]:
    """Starts a wait and a follower. Returns when the follower has the first event."""
    started = asyncio.Event()

    async def follow() -> list[str]:
        states = []
        async for event in client.follow(job_id, PATIENCE_S):
            states.append(event.state)
            started.set()
        return states

    tasks = asyncio.create_task(client.wait(job_id, PATIENCE_S)), asyncio.create_task(follow())
    await asyncio.wait_for(started.wait(), PATIENCE_S)
    return tasks


async def test_who_waits_hears_of_a_job_that_ends_after_a_restart(own, port, tmp_path):
    settings = own(redis_outage_tolerance_s=PATIENCE_S)
    async with AsyncClient(settings) as client:
        with own_redis(tmp_path, "save 3600 1", port):
            job_id = Client(settings).enqueue("Why?").id
            wait, following = await first_event(client, job_id)
        with own_redis(tmp_path, "save 3600 1", port):  # it has the record, which it saved when it stopped
            await client.cancel(job_id)
            assert (await wait).state == "cancelled"
            assert (await following)[-1] == "cancelled"


async def test_who_waits_is_told_when_redis_stays_away(own, port, tmp_path):
    settings = own(redis_outage_tolerance_s=0.3)
    async with AsyncClient(settings) as client:
        with own_redis(tmp_path, port=port):
            job_id = Client(settings).enqueue("Why?").id
            tasks = await first_event(client, job_id)
        for task in tasks:
            with pytest.raises(StoreUnavailable, match="does not answer"):
                await asyncio.wait_for(task, PATIENCE_S)
        with pytest.raises(StoreUnavailable):
            await client.wait(job_id, timeout_s=0)


async def test_a_refusal_is_told_at_once(own, port, tmp_path):
    settings = own(redis_outage_tolerance_s=PATIENCE_S)
    with own_redis(tmp_path, 'requirepass "secret"', port, password="secret"):
        async with AsyncClient(settings) as client:
            with pytest.raises(StoreRefused):
                await asyncio.wait_for(client.wait("00000000-0000-0000-0000-000000000000"), PATIENCE_S)
