"""When one call is simply made again (tenacity). What a run's trouble means for its job: see lifecycle/decide.py."""

import logging

import httpx
from tenacity import (
    AsyncRetrying,
    before_sleep_log,
    retry_if_exception,
    retry_if_exception_type,
    stop_after_attempt,
    stop_after_delay,
    wait_random_exponential,
)

from threadmill.redis.errors import is_away

log = logging.getLogger(__name__)


def while_redis_is_away(patience_s: float) -> AsyncRetrying:
    """Repeats a step on the records, all of which are atomic and bear repetition, for at most `patience_s`."""
    return AsyncRetrying(
        retry=retry_if_exception(is_away),
        wait=wait_random_exponential(multiplier=0.1, max=5),
        stop=stop_after_delay(patience_s),
        before_sleep=before_sleep_log(log, logging.DEBUG),  # of each job; the heartbeat warns for all of them
        reraise=True,
    )


def before_it_left() -> AsyncRetrying:
    """Repeats a request that found no connection, and so reached nobody."""
    return AsyncRetrying(
        retry=retry_if_exception_type(httpx.ConnectError),
        wait=wait_random_exponential(multiplier=0.2, max=2),
        stop=stop_after_attempt(3),
        reraise=True,
    )


def until_it_answers() -> AsyncRetrying:
    """Repeats the attempt to connect to a tool server that may just be starting anew; not one that took too long."""
    return AsyncRetrying(
        retry=retry_if_exception(lambda error: isinstance(error, Exception) and not isinstance(error, TimeoutError)),
        wait=wait_random_exponential(multiplier=0.2, max=2),
        stop=stop_after_attempt(5),
        reraise=True,
    )
