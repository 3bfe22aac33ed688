"""Script calls of an event loop go to Redis together, and each caller receives what concerns its own call."""

import asyncio
import os
import signal

import pytest
import redis
from tests.own_redis import own_redis

from threadmill.redis import client
from threadmill.store.keys import Keys
from threadmill.store.scripts import Scripts
from threadmill_worker.store.script_calls import ScriptCalls

pytestmark = pytest.mark.integration

KEYS = Keys("p")


@pytest.fixture
def own(tmp_path):
    with own_redis(tmp_path) as port, redis.Redis(port=port, decode_responses=True) as own:
        yield own


@pytest.fixture
async def calls(own):
    async_client = client.asynchronous(f"redis://127.0.0.1:{own.connection_pool.connection_kwargs['port']}/0")
    calls = ScriptCalls(async_client, Scripts(async_client, "p"))
    yield calls
    calls.close()
    await async_client.aclose()


async def claim(calls, job_id):
    return await calls.run("jobs/claim", {"id": job_id, "owner": "w:1", "lease_s": 60})


async def test_calls_of_one_tick_go_in_one_round_trip(calls, own):
    await claim(calls, "any")  # loads the script
    before = own.info("stats")["total_reads_processed"]

    replies = await asyncio.gather(*(claim(calls, f"j{number}") for number in range(50)))

    assert replies == [["missing"]] * 50
    assert own.info("stats")["total_reads_processed"] - before <= 3, "one for the calls, and those of INFO"


async def test_more_calls_than_fit_in_one_round_trip_are_all_answered(calls):
    assert await asyncio.gather(*(claim(calls, f"j{number}") for number in range(350))) == [["missing"]] * 350


async def test_an_error_reply_is_for_its_caller_alone(calls, own):
    own.set(KEYS.record("bad"), "not a hash")

    good, bad, last = await asyncio.gather(
        *(claim(calls, name) for name in ("good", "bad", "last")), return_exceptions=True
    )

    assert (good, last) == (["missing"], ["missing"])
    assert isinstance(bad, redis.ResponseError)
    assert "WRONGTYPE" in str(bad)


async def test_a_request_that_cannot_be_encoded_fails_alone(calls):
    bad, good = await asyncio.gather(claim(calls, "\ud83d"), claim(calls, "good"), return_exceptions=True)

    assert isinstance(bad, UnicodeEncodeError)
    assert good == ["missing"]


async def test_scripts_that_redis_has_forgotten_are_loaded_again(calls, own):
    await claim(calls, "any")
    own.script_flush()

    assert await asyncio.gather(*(claim(calls, f"j{number}") for number in range(5))) == [["missing"]] * 5


async def test_a_lost_connection_concerns_all_callers_and_later_calls_work(calls, own):
    await claim(calls, "any")
    own.config_set("maxclients", 1)
    own.client_kill_filter(_type="normal", skipme=True)

    failed = await asyncio.gather(*(claim(calls, f"j{number}") for number in range(5)), return_exceptions=True)
    own.config_set("maxclients", 100)

    assert all(isinstance(each, redis.ConnectionError) for each in failed)
    assert await claim(calls, "any") == ["missing"]


async def test_a_cancelled_caller_leaves_the_others_alone(calls, own):
    pid = own.info("server")["process_id"]
    await claim(calls, "any")
    os.kill(pid, signal.SIGSTOP)
    try:
        sent, other = asyncio.create_task(claim(calls, "sent")), asyncio.create_task(claim(calls, "other"))
        await asyncio.sleep(0)  # both are made
        await asyncio.sleep(0)  # and are being sent
        waiting, later = asyncio.create_task(claim(calls, "waiting")), asyncio.create_task(claim(calls, "later"))
        await asyncio.sleep(0)
        sent.cancel()
        waiting.cancel()
        gone = await asyncio.gather(sent, waiting, return_exceptions=True)
    finally:
        os.kill(pid, signal.SIGCONT)

    assert [type(each) for each in gone] == [asyncio.CancelledError] * 2
    assert await asyncio.gather(other, later) == [["missing"]] * 2
