"""What a client says when no sentinel leads it to a master."""

import pytest
import redis
from redis.sentinel import MasterNotFoundError

from threadmill.errors import StoreRefused, StoreUnavailable
from threadmill.redis import client
from threadmill.settings.settings import Settings
from threadmill.store.connection import Connection

URL = "sentinel://:s3cret@h1,h2/0?master=jobs"


@pytest.fixture
def answering(monkeypatch):
    """Has each sentinel give the next of these answers, or raise it."""

    def answer_with(*answers):
        given = iter(answers)

        def sentinel_masters(self):
            answer = next(given)
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(redis.Redis, "sentinel_masters", sentinel_masters)

    return answer_with


def state(**changes):
    known = {"ip": "10.0.0.1", "port": 6379, "is_master": True, "is_sdown": False, "is_odown": False}
    return {"jobs": known | changes}


def address():
    return client.blocking(URL).connection_pool.connection_kwargs["connection_pool"].get_master_address()


@pytest.mark.parametrize(
    "first",
    [redis.ConnectionError("refused"), redis.TimeoutError("late"), state(is_sdown=True), state(is_odown=True), {}],
)
def test_the_next_sentinel_is_asked_if_one_gives_no_master(answering, first):
    answering(first, state())
    assert address() == ("10.0.0.1", 6379)


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ([state(is_odown=True)] * 2, "the master 'jobs' is down"),
        ([redis.ConnectionError("refused")] * 2, "no sentinel answers: refused"),
        ([redis.ConnectionError("refused"), state(is_sdown=True)], "the master 'jobs' is down"),
    ],
)
def test_an_unavailable_master_is_waited_for(answering, answers, says):
    answering(*answers)
    with pytest.raises(StoreUnavailable, match=says) as raised:
        Connection(Settings(redis_url=URL)).ping()
    assert not isinstance(raised.value, StoreRefused)
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ([{"cache": {}}, {"mail": {}}], "correct master= in REDIS_URL to one of 'cache', 'mail'"),
        ([redis.AuthenticationError("Authentication required.")] * 2, "set sentinel_password=PASSWORD"),
    ],
)
def test_sentinels_that_cannot_help_are_a_refusal_with_the_remedy(answering, answers, says):
    answering(*answers)
    with pytest.raises(StoreRefused, match=says) as raised:
        Connection(Settings(redis_url=URL)).ping()
    assert "Redis at sentinel://h1,h2/0 has sentinels" in str(raised.value)


async def test_an_event_loop_is_led_to_the_master_too(monkeypatch):
    async def sentinel_masters(self):
        return state() if self.connection_pool.connection_kwargs["host"] == "h2" else state(is_odown=True)

    monkeypatch.setattr(redis.asyncio.Redis, "sentinel_masters", sentinel_masters)
    pool = client.asynchronous(URL).connection_pool
    assert await pool.connection_kwargs["connection_pool"].get_master_address() == ("10.0.0.1", 6379)


async def test_an_event_loop_learns_that_no_master_is_available(monkeypatch):
    async def sentinel_masters(self):
        raise redis.ConnectionError("refused")

    monkeypatch.setattr(redis.asyncio.Redis, "sentinel_masters", sentinel_masters)
    with pytest.raises(MasterNotFoundError, match="no sentinel answers"):
        await client.asynchronous(URL).ping()
