"""The interface of a driver: it executes an action and returns an observation."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from threadmill.job.prompt import PromptJob
from threadmill.settings.endpoint import Endpoint
from threadmill.settings.profile import Profile
from threadmill.store.remote_records import KeptThread, ThreadKind, Transcript
from threadmill_worker.files.attachments import NONE, Attachments
from threadmill_worker.lifecycle.actions import RemoteAction
from threadmill_worker.lifecycle.observations import Observation, Unknown
from threadmill_worker.lifecycle.progress import Progress


@dataclass(frozen=True)
class ThreadState:
    """What the next job on a kept thread needs to know."""

    kind: ThreadKind
    latest: str | None = None  #: of a chain: the response to continue from; '': the server stores none
    transcript: Transcript | None = None  #: of a chain: what was said on it; None: that is not known here


@dataclass(frozen=True)
class JobSpec:
    """A job with its defaults resolved, as a driver needs it."""

    job_id: str
    job: PromptJob
    assistant: str = ""
    model: str | None = None  #: to name in each run; None: the assistant's own
    instructions: str | None = None  #: the same
    profile: Profile | None = None  #: where the server keeps none
    tools: list[dict[str, Any]] | None = None  #: definitions the job offers its runs; None: the assistant's own
    kept: KeptThread | None = None  #: what is known here of the thread that it continues
    attachments: Attachments = NONE
    life: int = 0  #: how often the job was sent again: what earlier lives made is not taken for this one's

    @property
    def lives_on(self) -> bool:
        """Whether the objects of the job are kept together with its thread."""
        return self.job.keep_thread or self.job.thread is not None

    @property
    def tag(self) -> str:
        """The tag on every remote object of this job."""
        return f"{self.job_id}+{self.life}" if self.life else self.job_id


def current_time_note(endpoint: Endpoint, at: float | None = None) -> str | None:
    """The note about the current time for a run's instructions, or None. `at`: the time; default: now."""
    if endpoint.current_time_note is None:
        return None
    zone = ZoneInfo(endpoint.current_time_zone) if endpoint.current_time_zone else None
    moment = datetime.now(zone) if at is None else datetime.fromtimestamp(at, zone)
    return moment.astimezone(zone).strftime(endpoint.current_time_note)


def schema_error_note(progress: Progress) -> str | None:
    """The note to the model after an answer that did not match the response format, or None."""
    if progress.schema_error is None:
        return None
    return (
        f"Your last answer did not fit the asked format: {progress.schema_error}\n"
        "Answer again, with nothing but that format."
    )


class Driver(Protocol):
    """Makes the calls of one job."""

    @property
    def calls(self) -> int:
        """HTTP calls made so far."""
        ...

    @property
    def awaits_run(self) -> bool:
        """Whether a call is in flight whose reply may come only when the run has ended."""
        ...

    async def probe(self) -> Observation:
        """Checks the key and the API of the server and leaves no object there. Returns Deleted if both are right."""
        ...

    async def do(self, action: RemoteAction, progress: Progress) -> Observation:
        """Carries the action out once. Never raises for what the server or the network did: it returns a CallError.

        After a cancellation the outcome of the call is unknown, as after a lost reply.
        """
        ...

    async def thread_state(self, progress: Progress, answer: Sequence[dict[str, Any]]) -> ThreadState:
        """Of the job's thread after its last run. `answer`: the content blocks that this run wrote."""
        ...

    async def run_changed(self) -> None:
        """Returns when the event stream reports a change of the run, or ends; once for each.

        Never returns if there is no stream. Cancelling it loses no event.
        """
        ...

    async def close(self) -> None:
        """Ends the event stream at once. A later action may open another."""
        ...


async def do_within(limit_s: float, driver: Driver, action: RemoteAction, progress: Progress) -> Observation:
    """Executes the action once, in at most `limit_s` seconds.

    The timeouts of a connection limit only the wait for the next byte, so a slow server could hold a call forever.
    The outcome of a call that is cut off is unknown, as after a lost reply.
    """
    try:
        async with asyncio.timeout(limit_s):
            return await driver.do(action, progress)
    except TimeoutError:
        return Unknown(f"the reply was not complete within {limit_s:.3g} s")
