"""Where the worker of an unfinished job is, as far as producers read it."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from threadmill.job.result import Failure, Usage

#: Statuses of a run that goes on unless somebody cancels it.
_ACTIVE = frozenset({"queued", "in_progress", "requires_action"})


#: What a job has cost: fields of its progress and of its result.
SPENT = ("usage", "model", "lane", "runs", "calls", "lost_threads", "lost_files", "lost_runs")


class RemoteCall(BaseModel):
    """A tool call that a run waits for."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    name: str


class RemoteThing(BaseModel):
    """What the job has made on its server and still has to delete."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: str
    id: str


class RemoteRun(BaseModel):
    """A run as its server showed it last."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    status: str
    calls: tuple[RemoteCall, ...] = ()
    kind: str | None = None  #: of the thing that it is, where runs do not go with their thread


class Ending(BaseModel):
    """How a job will end, once what was made for it is deleted."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    failure: Failure | None = None


class Place(BaseModel):
    """What a producer can read of a worker's saved progress. Moments are seconds since 1970."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    deadline_at: float
    thread_id: str | None = None
    run: RemoteRun | None = None
    run_since: float = 0.0  #: when the run was started
    runs: int = 0
    reruns: int = 0
    rerun_reason: str | None = None  #: of the latest rerun
    outputs: dict[str, str] = {}  #: of the run's tool calls that are done, by call id
    trouble: str | None = None  #: why the latest call had no usable reply; None once one had
    troubles: int = 0  #: calls in a row without one
    troubled_at: float | None = None  #: when the first of them was made
    outcome: Ending | None = None
    intent: str | None = None  #: the call whose outcome is not known
    leftovers: tuple[RemoteThing, ...] = ()
    usage: Usage = Usage()
    model: str | None = None
    lane: str | None = None
    calls: int = 0
    lost_threads: int = 0
    lost_files: int = 0
    lost_runs: int = 0

    @property
    def spent(self) -> dict[str, Any]:
        """What the job has cost, as fields of its result, should it end here. What an uncertain call made is lost."""
        return {name: getattr(self, name) for name in SPENT} | {
            "lost_threads": self.lost_threads + (self.intent == "create_thread"),
            "lost_files": self.lost_files + (self.intent in ("upload", "create_store")),
            "lost_runs": self.lost_runs + (self.intent in ("start_run", "submit_outputs")),
        }

    @property
    def failure(self) -> Failure | None:
        """Why the job will fail; None: that is open, or it will succeed."""
        return self.outcome.failure if self.outcome else None

    @property
    def remains(self) -> tuple[RemoteThing, ...]:
        """What is to be removed from the server should the job end here: its active run first, which is cancelled."""
        run = self.run
        if run is None or run.status not in _ACTIVE or (run.kind is not None and run.calls):
            return self.leftovers
        run_id = run.id if run.kind is not None else f"{self.thread_id}/{run.id}"
        return (RemoteThing(kind="run", id=run_id), *self.leftovers)

    @property
    def pending_tools(self) -> list[str]:
        """The names of the tools whose outputs the run waits for."""
        return [call.name for call in self.run.calls if call.id not in self.outputs] if self.run else []
