"""The parts of a job's saved progress that producers read."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import BaseModel, ConfigDict

from threadmill.job.lanes import PRIORITY
from threadmill.job.result import Failure, Usage

#: Statuses of a run that has not ended.
_ACTIVE = frozenset({"queued", "in_progress", "requires_action"})

#: The kind of object that each call may have created if its outcome is unknown.
_LOST_BY: Mapping[str, str] = {
    "create_thread": "threads",
    "upload": "files",
    "create_store": "files",
    "start_run": "runs",
    "submit_outputs": "runs",
}


@dataclass(frozen=True)
class CallErrors:
    """The calls in a row that got no usable reply."""

    count: int = 0
    reason: str | None = None  #: of the latest
    first_at: float | None = field(default=None, compare=False)  #: when the first of them failed
    since: float | None = field(default=None, compare=False)  #: the same, not before this worker took the job


@dataclass(frozen=True)
class Limit:
    """A limit of the server's that a job waits for."""

    reason: str
    until: float  #: when the job asks again, in seconds since 1970
    in_row: bool = False  #: it waits for its place in the row of its pool; else the server refuses calls until then


@dataclass(frozen=True)
class Cost:
    """What the runs of a job have used, and at which price."""

    usage: Usage = field(default_factory=Usage)
    by_run: dict[str, Usage] = field(default_factory=dict)  #: the parts of `usage`, by the id of the run
    model: str | None = None  #: of the last run
    lane: str | None = None  #: the lane of all runs, or the service tier `priority` if one of them used it
    fell_back: bool = False  #: the job's lane or tier is refused, and further runs ask for the full price
    full_price: str | None = None  #: why runs cost the full price although the job has a lane or a service tier


@dataclass(frozen=True)
class Lost:
    """How many objects may be on the server whose ids never reached a worker."""

    threads: int = 0
    files: int = 0
    runs: int = 0

    def after(self, intent: str | None) -> "Lost":
        """Returns the numbers if the outcome of this call stays unknown."""
        kind = _LOST_BY.get(intent or "")
        return replace(self, **{kind: getattr(self, kind) + 1}) if kind else self


def spent(runs: int, calls: int, cost: Cost, lost: Lost) -> dict[str, Any]:
    """Returns the fields of a result that say what the job has spent."""
    return {
        "usage": cost.usage,
        "model": cost.model,
        "lane": cost.lane if cost.lane != PRIORITY else None,
        "service_tier": PRIORITY if cost.lane == PRIORITY else None,
        "runs": runs,
        "calls": calls,
        "lost_threads": lost.threads,
        "lost_files": lost.files,
        "lost_runs": lost.runs,
    }


class RemoteCall(BaseModel):
    """A tool call whose output a run needs."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    name: str


class RemoteObject(BaseModel):
    """An object on the server that the job still has to delete."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: str
    id: str


class RemoteRun(BaseModel):
    """A run as the server returned it last."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    status: str
    calls: tuple[RemoteCall, ...] = ()
    kind: str | None = None  #: the kind of remote object, if deleting the thread does not delete the run


class RunSummary(BaseModel):
    """The current run of a job. Times are seconds since 1970."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    seen: RemoteRun  #: as last observed
    started_at: float
    outputs: dict[str, str] = {}  #: of its finished tool calls, by call id


class Ending(BaseModel):
    """How a job will end, after its remote objects are deleted."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    failure: Failure | None = None


class ProgressSummary(BaseModel):
    """The fields of a worker's saved progress that producers read. Times are seconds since 1970."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    deadline_at: float
    thread_id: str | None = None
    run: RunSummary | None = None
    runs: int = 0
    reruns: int = 0
    rerun_reason: str | None = None  #: of the latest rerun
    errors: CallErrors = CallErrors()
    limited: Limit | None = None  #: the last limit that the job waited for; it waits until `limited.until`
    limited_s: float = 0.0  #: how long the job has waited for limits
    outcome: Ending | None = None
    intent: str | None = None  #: the call whose outcome is unknown
    leftovers: tuple[RemoteObject, ...] = ()
    cost: Cost = Cost()
    lost: Lost = Lost()
    calls: int = 0
    key: str | None = None  #: the variable with the key that its objects belong to, if its endpoint has several keys

    @property
    def spent(self) -> dict[str, Any]:
        """What the job has spent, as fields of its result.

        If a call has an unknown outcome, the object that it may have created counts as lost.
        """
        return spent(self.runs, self.calls, self.cost, self.lost.after(self.intent))

    @property
    def failure(self) -> Failure | None:
        """Why the job will fail; None if it will succeed or that is not decided yet."""
        return self.outcome.failure if self.outcome else None

    @property
    def remains(self) -> tuple[RemoteObject, ...]:
        """The remote objects to delete if the job ends now. An active run comes first; it has to be cancelled."""
        run = self.run.seen if self.run else None
        if run is None or run.status not in _ACTIVE or (run.kind is not None and run.calls):
            return self.leftovers
        run_id = run.id if run.kind is not None else f"{self.thread_id}/{run.id}"
        return (RemoteObject(kind="run", id=run_id), *self.leftovers)

    @property
    def pending_tools(self) -> list[str]:
        """The names of the tools whose outputs the run needs."""
        run = self.run
        return [call.name for call in run.seen.calls if call.id not in run.outputs] if run else []
