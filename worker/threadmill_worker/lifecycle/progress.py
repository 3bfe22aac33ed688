"""The saved progress of a job: frozen dataclasses in the process, JSON in the job's record."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pydantic import TypeAdapter, ValidationError

from threadmill import stored
from threadmill.errors import UnreadableRecord
from threadmill.job.progress import CallErrors, Cost, Limit, Lost, spent
from threadmill.job.result import Artifact, Citation, Failure, JobState
from threadmill.store.records.job import JobRecord
from threadmill_worker.lifecycle.observations import RunObservation, ToolCall
from threadmill_worker.lifecycle.replace import replace

#: Characters of a reason that are kept.
REASON_CHARACTERS = 300


class Intent(StrEnum):
    """A call with an effect. It is saved before the call, so that a later attempt does not repeat it blindly."""

    UPLOAD = "upload"
    CREATE_STORE = "create_store"
    CREATE_THREAD = "create_thread"
    ADD_MESSAGE = "add_message"
    START_RUN = "start_run"
    SUBMIT_OUTPUTS = "submit_outputs"


@dataclass(frozen=True)
class PendingRequest:
    """A request that is repeated unchanged until it is answered."""

    sent_at: float  #: when it was first sent
    in_doubt: bool = False  #: an earlier try may have taken effect, though a later one did not


@dataclass(frozen=True)
class Leftover:
    """A remote object to delete when the job ends."""

    kind: str  #: "thread", "response", "container", "file", "vector_store"; or "run", which is cancelled
    id: str  #: THREAD/RUN for a run on a thread
    tries: int = 0


@dataclass(frozen=True)
class Features:
    """The features that the job uses besides its messages."""

    uploads: int = 0  #: how many files it uploads
    search: bool = False  #: it has files to search, and needs a vector store for them
    at_once: bool = False  #: one call creates the thread and the first run
    messages_in_run: bool = False  #: the request of a run has all messages; only a thread that is kept is created
    continues: bool = False  #: the job continues a thread that existed before it
    keep_thread: bool = False
    has_transcript: bool = True  #: the earlier messages are stored in Redis or on the server, and can be sent again
    steps: bool = False
    response_format: Any = None
    model: str | None = None  #: the requested model, if known, for servers that do not name the one that answers
    functions: tuple[str, ...] = ()  #: names of the functions that its runs may call
    file_tools: tuple[str, ...] = ()  #: types of the server's tools that read the job's files
    lane: str | None = None  #: the job's lane, or the service tier that it asks for


@dataclass(frozen=True)
class FinishedCall:
    """The output of a tool call. A later run that makes the same call gets it too."""

    output: str
    run: int  #: the ordinal of the run that made it


@dataclass(frozen=True)
class CurrentRun:
    """The state of the current run. Each new run gets a new object, so it never contains data of an earlier run."""

    seen: RunObservation  #: as last observed
    started_at: float
    active_since: float  #: when it was started, or last received tool outputs
    rounds: int = 0  #: how many rounds of tools it has completed
    outputs: dict[str, str] = field(default_factory=dict)  #: the outputs of its tool calls, by call id
    shown_steps: dict[int, tuple[dict[str, Any], ...]] = field(default_factory=dict)  #: steps in its replies, by round
    past_rounds: tuple[RunObservation, ...] = ()  #: the responses of its earlier rounds
    cancel_requested_at: float | None = None  #: when the server was asked to cancel it
    cancel_refused: bool = False

    @property
    def id(self) -> str:
        return self.seen.id

    @property
    def status(self) -> str:
        return self.seen.status

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        return self.seen.calls


@dataclass(frozen=True)
class VectorStore:
    """The vector store that file_search reads."""

    id: str
    since: float  #: when it was created
    ready: bool = False
    attached: bool = False  #: to a thread that existed before the job
    own: bool = True  #: created for this job or its batch; otherwise the thread has it, and the job adds its files
    detail: str = field(default="", compare=False)  #: how many of the files are ready, in words


@dataclass(frozen=True)
class Answer:
    """What the run wrote, with the names, files and steps read so far."""

    blocks: tuple[dict[str, Any], ...]
    names: dict[str, str] = field(default_factory=dict)  #: names of cited files, by id
    artifacts: dict[str, Artifact] = field(default_factory=dict)  #: files that the model made, by id
    steps: tuple[dict[str, Any], ...] | None = None
    missing_steps: str | None = None  #: why `steps` may be incomplete


@dataclass(frozen=True)
class Outcome:
    """How the job ends. Once it is known, only the clean-up remains."""

    state: JobState
    text: str = ""
    content: tuple[dict[str, Any], ...] = ()
    failure: Failure | None = None
    parsed: Any = None
    citations: tuple[Citation, ...] = ()
    files: tuple[Artifact, ...] = ()
    steps: tuple[dict[str, Any], ...] = ()
    missing_steps: str | None = None


@dataclass(frozen=True)
class Progress:
    """The progress of a job. Times are seconds since 1970."""

    deadline_at: float
    messages: int  #: how many the job has
    features: Features = field(default_factory=Features)
    uploaded: tuple[str, ...] = ()  #: ids of the files uploaded so far
    store: VectorStore | None = None
    thread_inspected: bool = False  #: whether a thread that existed before the job was asked for its vector store
    thread_id: str | None = None
    messages_sent: int = 0
    locked_by: str | None = None  #: the foreign run that locks the thread
    intent: Intent | None = None  #: the call whose outcome is not known yet
    pending: PendingRequest | None = None  #: the request that starts or continues a run, until it is answered
    run: CurrentRun | None = None
    runs: int = 0  #: how many were started
    reruns: int = 0  #: how many of them replaced a run that brought no answer
    rerun_reason: str | None = None  #: why the latest rerun was started
    limited_runs: int = 0  #: how many of the runs a rate limit of the server ended
    finished_calls: dict[str, FinishedCall] = field(default_factory=dict)  #: tool calls of all runs, by signature
    without_context: tuple[str, ...] = ()  #: ids of responses whose server ignored the earlier response
    ignored_tools: tuple[str, ...] = ()  #: functions that were sent with the last run and that the server ignored
    answer: Answer | None = None
    schema_error: str | None = None  #: why an earlier answer did not match `response_format`
    outcome: Outcome | None = None
    leftovers: tuple[Leftover, ...] = ()
    lost: Lost = field(default_factory=Lost)
    cost: Cost = field(default_factory=Cost)
    errors: CallErrors = field(default_factory=CallErrors)
    wait_until: float = field(default=0.0, compare=False)  #: the earliest time of the next call
    poll_at: float = field(default=0.0, compare=False)  #: the earliest time of the next poll
    limited: Limit | None = field(default=None, compare=False)  #: the last limit that it waited for
    limited_s: float = field(default=0.0, compare=False)  #: how long it has waited for limits
    calls: int = field(default=0, compare=False)  #: HTTP calls made
    key: str | None = None  #: the variable with the key that its objects belong to; None: its endpoint has one key

    # If only fields with compare=False change, the progress is not saved: a later attempt does not need them.

    def ended(self, outcome: Outcome) -> "Progress":
        """Returns the progress with this outcome."""
        return replace(self, outcome=outcome)

    def failed(self, failure: Failure) -> "Progress":
        return self.ended(Outcome(JobState.FAILED, failure=failure))

    def without_errors(self) -> "Progress":
        """Returns the progress with its call errors cleared, after a usable reply."""
        return replace(self, errors=CallErrors(), wait_until=0.0)

    def owning(self, leftover: Leftover) -> "Progress":
        """Adds an object that the job must delete. Threads come before the objects that they refer to."""
        leftovers = sorted((*self.leftovers, leftover), key=lambda each: each.kind != "thread")
        return replace(self, leftovers=tuple(leftovers))

    @property
    def requested_lane(self) -> str | None:
        """The lane or the service tier that the next run asks for."""
        return None if self.cost.fell_back else self.features.lane

    @property
    def thread_key(self) -> str | None:
        """The id by which later jobs name the thread; without a thread, the id of the current response."""
        return self.thread_id or (self.run.id if self.run else None)

    @property
    def spent(self) -> dict[str, Any]:
        """What the job has cost so far, as fields of its result."""
        return spent(self.runs, self.calls, self.cost, self.lost)

    def to_json(self) -> str:
        """Returns JSON without fields that have their defaults, so that older workers can read as much as possible."""
        return _ADAPTER.dump_json(self, exclude_defaults=True).decode()

    @classmethod
    def begin(cls, record: JobRecord, features: Features, key: str | None = None) -> "Progress":
        """Returns the progress of a job before its first attempt. `key`: see the field."""
        started = (record.started_at or record.created_at).timestamp()
        deadline_at = started + record.job.time_limit_s
        if record.job.deadline_at is not None:
            deadline_at = min(deadline_at, record.job.deadline_at.timestamp())
        messages = len(record.job.conversation)
        return cls(deadline_at=deadline_at, messages=messages, features=features, thread_id=record.job.thread, key=key)

    @classmethod
    def of(cls, record: JobRecord) -> "Progress | None":
        """Returns the progress in a record; None before the first step. Raises UnreadableRecord."""
        try:
            return cls.from_json(record.progress) if record.progress else None
        except ValueError as error:
            raise UnreadableRecord(record.id, *stored.fault(error, "progress")) from None

    @classmethod
    def unknown_fields(cls, data: str) -> tuple[str, ...]:
        """Returns the fields of a saved progress that only a newer version knows, such as `progress.run`."""
        try:
            _ADAPTER.validate_json(data, extra="forbid")
        except ValidationError as error:
            return tuple(f"progress.{name}" for name in stored.unknown_fields(error))
        return ()

    @classmethod
    def from_json(cls, data: str) -> "Progress":
        """Reads a saved progress. `errors.since` starts again: time without a worker is not the server's fault."""
        progress = _ADAPTER.validate_json(data)
        return replace(progress, errors=replace(progress.errors, since=None))


_ADAPTER = TypeAdapter(Progress)
