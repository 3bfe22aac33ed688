"""The interface of a driver: it executes an action and returns an observation."""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from threadmill.store.records.remote import ThreadKind, Transcript
from threadmill_worker.drivers.replies.rate_limits import RateInfo
from threadmill_worker.lifecycle.actions import RemoteAction
from threadmill_worker.lifecycle.observations import Observation, Unknown
from threadmill_worker.lifecycle.progress import Progress


@dataclass(frozen=True)
class ThreadState:
    """The state of a kept thread that its next job needs."""

    kind: ThreadKind
    latest: str | None = None  #: of a chain: the response to continue from; '': the server stores none
    transcript: Transcript | None = None  #: of a chain: its messages; None: they are not known


class Driver(Protocol):
    """Makes the calls of one job."""

    @property
    def calls(self) -> int:
        """HTTP calls made so far."""
        ...

    @property
    def rate_info(self) -> RateInfo | None:
        """The rate limits that the last reply names, if it names any. None also if the last call had no reply."""
        ...

    @property
    def awaits_run(self) -> bool:
        """Whether a call is in flight whose reply may come only when the run has ended."""
        ...

    @property
    def has_stream(self) -> bool:
        """Whether the run has an event stream, open or ended: only then may `run_changed` return."""
        ...

    async def do(self, action: RemoteAction, progress: Progress) -> Observation:
        """Executes the action once. Returns a CallError for errors of the server or the network; never raises them.

        After a cancellation the outcome of the call is unknown, as after a lost reply.
        """
        ...

    async def thread_state(self, progress: Progress, answer: Sequence[dict[str, Any]]) -> ThreadState:
        """Returns the state of the job's thread after its last run, which wrote the content blocks `answer`."""
        ...

    async def run_changed(self) -> None:
        """Returns when the event stream reports a change of the run, or ends; once for each.

        Never returns if there is no stream. Cancelling it loses no event.
        """
        ...

    async def close(self) -> None:
        """Ends the event stream. A later action may open another."""
        ...


async def within(limit_s: float, call: Awaitable[Observation]) -> Observation:
    """Returns what the call returns, or Unknown if it takes longer than `limit_s` seconds.

    The timeouts of a connection limit only the wait for the next byte, so a slow server could hold a call forever.
    The outcome of an interrupted call is unknown, as after a lost reply.
    """
    try:
        async with asyncio.timeout(limit_s):
            return await call
    except TimeoutError:
        return Unknown(f"the reply was not complete within {limit_s:.3g} s")
