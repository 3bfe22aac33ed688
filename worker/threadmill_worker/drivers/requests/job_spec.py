"""The description of a job for drivers."""

from dataclasses import dataclass, field
from typing import Any

from threadmill.job.prompt import PromptJob
from threadmill.settings.profile import Profile
from threadmill.store.records.remote import KeptThread
from threadmill_worker.drivers.requests.tags import job_tag
from threadmill_worker.files.attachments import NONE, Attachments
from threadmill_worker.lifecycle.progress import Features


@dataclass(frozen=True)
class JobSpec:
    """A job with all defaults resolved."""

    id: str
    job: PromptJob
    endpoint: str  #: the name of the endpoint
    features: Features = field(default_factory=Features)  #: the features of the job, for the lifecycle
    assistant: str = ""  #: the id of the assistant; '' on the Responses API
    model: str | None = None  #: the model of each run; None: the assistant's own
    instructions: str | None = None  #: sent with each run; None: the assistant's own
    profile: Profile | None = None  #: for the Responses API, whose servers store no assistants
    tools: list[dict[str, Any]] | None = None  #: definitions of the tools for its runs; None: the assistant's own
    kept: KeptThread | None = None  #: the record of the thread that the job continues
    attachments: Attachments = NONE
    redrives: int = 0  #: how often the job was enqueued again
    batch_lane: str | None = None  #: the batch lane that starts its runs; None: the worker starts them
    #: The variable with the key of all its calls, to which its remote objects belong; None: its endpoint has one key.
    key: str | None = None

    @property
    def lives_on(self) -> bool:
        """Whether the objects of the job are kept together with its thread."""
        return self.job.keep_thread or self.job.thread is not None

    @property
    def tag(self) -> str:
        """The tag on every remote object of this job."""
        return job_tag(self.id, self.redrives)

    @property
    def response_format(self) -> Any:
        return self.job.response_format or (self.profile and self.profile.response_format)

    @property
    def temperature(self) -> float | None:
        return _first(self.job.temperature, self.profile.temperature if self.profile else None)

    @property
    def top_p(self) -> float | None:
        return _first(self.job.top_p, self.profile.top_p if self.profile else None)

    @property
    def reasoning_effort(self) -> str | None:
        return self.profile.reasoning_effort if self.profile else None


def _first(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)
