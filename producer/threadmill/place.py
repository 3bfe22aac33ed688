"""Where the worker of an unfinished job is, as far as producers read it."""

from pydantic import BaseModel, ConfigDict


class RemoteCall(BaseModel):
    """A tool call that a run waits for."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    name: str


class RemoteRun(BaseModel):
    """A run as its server showed it last."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    status: str
    calls: tuple[RemoteCall, ...] = ()


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
    trouble_since: float | None = None

    @property
    def pending_tools(self) -> list[str]:
        """The names of the tools whose outputs the run waits for."""
        return [call.name for call in self.run.calls if call.id not in self.outputs] if self.run else []
