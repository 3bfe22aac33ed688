"""Retries of single calls. lifecycle/recovery/call_errors.py decides what a failed call means for its job."""

import httpx
from tenacity import (
    AsyncRetrying,
    retry_if_exception,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
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
