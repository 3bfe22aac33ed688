"""What the runner asks of a driver: carry an action out, and say what came of it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from threadmill.job.prompt import PromptJob
from threadmill.settings.endpoint import Endpoint
from threadmill.settings.profile import Profile
from threadmill.store.records import KeptThread, ThreadKind, Transcript
from threadmill_worker.files.attachments import NONE, Attachments
from threadmill_worker.lifecycle.actions import (
    AddMessage,
    AttachStore,
    CancelRun,
    Delete,
    Download,
    InspectThread,
    Making,
    NameFile,
    PollRun,
    PollStore,
    ReadAnswer,
    ReadSteps,
    Resolve,
    StartRun,
    SubmitOutputs,
    Unlock,
)
from threadmill_worker.lifecycle.observations import Observation, Unknown
from threadmill_worker.lifecycle.progress import Progress

#: The actions that need the server.
RemoteAction = (
    Making
    | PollStore
    | InspectThread
    | AttachStore
    | AddMessage
    | StartRun
    | PollRun
    | Resolve
    | SubmitOutputs
    | CancelRun
    | Unlock
    | ReadAnswer
    | NameFile
    | Download
    | ReadSteps
    | Delete
)


@dataclass(frozen=True)
class ThreadState:
    """What is to be known of a thread that lives on, for the next job on it."""

    kind: ThreadKind
    latest: str | None = None  #: of a chain: the response to continue from; '': the server stores none
    transcript: Transcript | None = None  #: of a chain: what was said on it; None: that is not known here


@dataclass(frozen=True)
class JobSpec:
    """What a driver needs to know of its job."""

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
        """Whether what is made for it stays with a thread that does."""
        return self.job.keep_thread or self.job.thread is not None

    @property
    def tag(self) -> str:
        """By which what is made for the job is known."""
        return f"{self.job_id}+{self.life}" if self.life else self.job_id


def time_note(endpoint: Endpoint, at: float | None = None) -> str | None:
    """What the endpoint's settings have each run told of the time. `at`: the moment to name; default: now."""
    if endpoint.time_note is None:
        return None
    zone = ZoneInfo(endpoint.time_zone) if endpoint.time_zone else None
    moment = datetime.now(zone) if at is None else datetime.fromtimestamp(at, zone)
    return moment.astimezone(zone).strftime(endpoint.time_note)


def misfit_note(progress: Progress) -> str | None:
    """For the model whose last answer did not fit."""
    if progress.misfit is None:
        return None
    return (
        f"Your last answer did not fit the asked format: {progress.misfit}\nAnswer again, with nothing but that format."
    )


class Driver(Protocol):
    """Speaks to the server for one job."""

    @property
    def calls(self) -> int:
        """HTTP calls made so far."""
        ...

    @property
    def awaits_run(self) -> bool:
        """Whether a call is under way whose reply may come only when the run has ended."""
        ...

    async def probe(self) -> Observation:
        """Finds out whether the server takes our key and speaks our format, and leaves nothing: Deleted if it does."""
        ...

    async def do(self, action: RemoteAction, progress: Progress) -> Observation:
        """Carries the action out once. Never raises for what the server or the network did: it returns a CallError.

        Cancelling it leaves the outcome of a call under way unknown, as a lost reply does.
        """
        ...

    async def thread_state(self, progress: Progress, answer: Sequence[dict[str, Any]]) -> ThreadState:
        """Of the job's thread after its last run. `answer`: the content blocks that this run wrote."""
        ...

    async def run_changed(self) -> None:
        """Returns when the event stream of the job's run has news that call for a look, or has ended; once for each.

        Never returns where there is no stream. Cancelling it loses nothing.
        """
        ...

    async def close(self) -> None:
        """Ends an event stream at once. What is done afterwards may open another."""
        ...


async def do_within(limit_s: float, driver: Driver, action: RemoteAction, progress: Progress) -> Observation:
    """Carries the action out once, in at most `limit_s` seconds.

    The timeouts of a connection bound the wait for the next byte only: a slow server can hold a call for ever. A call
    that is cut off is in doubt, like one whose reply was lost.
    """
    try:
        async with asyncio.timeout(limit_s):
            return await driver.do(action, progress)
    except TimeoutError:
        return Unknown(f"the reply was not complete within {limit_s:.3g} s")
