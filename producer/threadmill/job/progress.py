"""The part of a job's saved progress that producers read."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from threadmill.job.result import Failure, Usage

#: Statuses of a run that has not ended.
_ACTIVE = frozenset({"queued", "in_progress", "requires_action"})


#: Fields that say what a job has spent; its progress and its result have them.
SPENT = ("usage", "model", "lane", "runs", "calls", "lost_threads", "lost_files", "lost_runs")


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


class Ending(BaseModel):
    """How a job will end, after its remote objects are deleted."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    failure: Failure | None = None


class ProgressSummary(BaseModel):
    """The fields of a worker's saved progress that producers read. Times are seconds since 1970."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    deadline_at: float
    thread_id: str | None = None
    run: RemoteRun | None = None
    run_since: float = 0.0  #: when the run was started
    runs: int = 0
    reruns: int = 0
    rerun_reason: str | None = None  #: of the latest rerun
    outputs: dict[str, str] = {}  #: outputs of the run's finished tool calls, by call id
    trouble: str | None = None  #: the reason of the latest call error; None after a usable reply
    troubles: int = 0  #: number of call errors in a row
    troubled_at: float | None = None  #: time of the first of them
    outcome: Ending | None = None
    intent: str | None = None  #: the call whose outcome is unknown
    leftovers: tuple[RemoteObject, ...] = ()
    usage: Usage = Usage()
    model: str | None = None
    lane: str | None = None
    calls: int = 0
    lost_threads: int = 0
    lost_files: int = 0
    lost_runs: int = 0

    @property
    def spent(self) -> dict[str, Any]:
        """What the job has spent, as fields of its result.

        If a call has an unknown outcome, the object that it may have made counts as lost.
        """
        return {name: getattr(self, name) for name in SPENT} | {
            "lost_threads": self.lost_threads + (self.intent == "create_thread"),
            "lost_files": self.lost_files + (self.intent in ("upload", "create_store")),
            "lost_runs": self.lost_runs + (self.intent in ("start_run", "submit_outputs")),
        }

    @property
    def failure(self) -> Failure | None:
        """Why the job will fail; None if it will succeed or that is not decided yet."""
        return self.outcome.failure if self.outcome else None

    @property
    def remains(self) -> tuple[RemoteObject, ...]:
        """The remote objects to delete if the job ends now. An active run comes first; it has to be cancelled."""
        run = self.run
        if run is None or run.status not in _ACTIVE or (run.kind is not None and run.calls):
            return self.leftovers
        run_id = run.id if run.kind is not None else f"{self.thread_id}/{run.id}"
        return (RemoteObject(kind="run", id=run_id), *self.leftovers)

    @property
    def pending_tools(self) -> list[str]:
        """The names of the tools whose outputs the run needs."""
        return [call.name for call in self.run.calls if call.id not in self.outputs] if self.run else []
