"""Retries of single calls. lifecycle/recovery/call_errors.py decides what a failed call means for its job."""

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
    """Repeats a call while Redis is unavailable, for at most `patience_s` seconds. All scripts can be repeated."""
    return AsyncRetrying(
        retry=retry_if_exception(is_away),
        wait=wait_random_exponential(multiplier=0.1, max=5),
        stop=stop_after_delay(patience_s),
        before_sleep=before_sleep_log(log, logging.DEBUG),  # not a warning: the heartbeat warns once for all jobs
        reraise=True,
    )


def while_unconnected() -> AsyncRetrying:
    """Repeats an HTTP request that was not sent because no connection could be opened."""
    return AsyncRetrying(
        retry=retry_if_exception_type(httpx.ConnectError),
        wait=wait_random_exponential(multiplier=0.2, max=2),
        stop=stop_after_attempt(3),
        reraise=True,
    )


def while_starting() -> AsyncRetrying:
    """Repeats the attempt to connect to an MCP server, which may be restarting. A timeout is not repeated."""
    return AsyncRetrying(
        retry=retry_if_exception(lambda error: isinstance(error, Exception) and not isinstance(error, TimeoutError)),
        wait=wait_random_exponential(multiplier=0.2, max=2),
        stop=stop_after_attempt(5),
        reraise=True,
    )
