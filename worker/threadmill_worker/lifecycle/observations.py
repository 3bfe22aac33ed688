"""Observations: the values that a driver returns and the lifecycle reads.

A driver turns every reply of its server into one of these, so only drivers know a wire format.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from threadmill.job.result import Artifact, Failure, FailureKind, Usage
from threadmill_worker.answer.json_text import parse

#: Statuses after which a run never changes again.
ENDED = frozenset({"completed", "incomplete", "failed", "expired", "cancelled"})

#: Statuses of runs that ended with an answer.
ANSWERED = frozenset({"completed", "incomplete"})


@dataclass(frozen=True)
class ToolCall:
    id: str
    name: str
    arguments: str  #: as the model wrote them: usually a JSON object, but any text is possible

    @property
    def signature(self) -> str:
        """Equal for calls of the same tool with the same arguments, however their JSON is formatted."""
        try:
            return f"{self.name} {json.dumps(parse(self.arguments), sort_keys=True)}"
        except ValueError:
            return f"{self.name} {self.arguments}"


@dataclass(frozen=True)
class AnswerRead:
    """The content blocks of the run's messages, in order; empty if the run wrote no message."""

    blocks: tuple[dict[str, Any], ...]
    containers: tuple[str, ...] = ()  #: ids of the containers that its code ran in


@dataclass(frozen=True)
class RunObservation:
    """A run as the server reports it. `status` is the server's own value, which may be unknown."""

    id: str
    status: str
    calls: tuple[ToolCall, ...] = ()  #: the tool calls that `requires_action` asks for
    expires_at: float | None = None  #: seconds since 1970 by the server's clock; some servers send none
    created_at: float | None = None  #: seconds since 1970 by the server's clock; some servers send none
    error_code: str | None = None
    error_type: str | None = None
    error_message: str = ""
    incomplete_reason: str | None = None
    usage: Usage | None = None
    model: str | None = None  #: the model that answers; some servers do not name it
    lane: str | None = None  #: "batch" if it came through the provider's Batch API
    tier: str | None = None  #: its service tier, as the server names it; None: the server does not name it
    in_background: bool = False  #: the server reports that it runs in the background
    functions: tuple[str, ...] | None = None  #: names of the functions it may call; None: the server lists none
    own_tools: frozenset[str] | None = None  #: types of the server's tools that it may use; None: not reported
    poll_after_s: float | None = field(default=None, compare=False)  #: the delay the server asks for
    took_s: float | None = field(default=None, compare=False)  #: its duration, as its server says; some do not
    answer: AnswerRead | None = None  #: its answer, if the same reply includes it
    steps: tuple[dict[str, Any], ...] | None = None  #: its steps, as in StepsRead, if the same reply includes them
    kind: str | None = None  #: the kind of leftover it is, if it is not deleted with its thread
    is_kept: bool = True  #: the server stores it, so that the next round can refer to it
    items: tuple[dict[str, Any], ...] = ()  #: if it has calls: its output, for a later request to repeat
    continues: bool = False  #: it was asked to continue from an earlier response
    names_previous: bool = False  #: the server names the response that it continues from
    is_anonymous: bool = False  #: its own id was lost: it can be read, but neither deleted nor priced
    is_call: bool = False  #: it is one call, of which the server keeps nothing

    @property
    def is_round(self) -> bool:
        """Whether it is a response or a call. A run consists of several if it uses tools, each with its own id."""
        return self.kind is not None or self.is_anonymous or self.is_call


@dataclass(frozen=True)
class Uploaded:
    """A file is on the server. `shared`: it belongs to the batch, not to this job alone."""

    id: str
    shared: bool = False


@dataclass(frozen=True)
class StoreSeen:
    """A vector store. `ready`: all files of the job can be searched."""

    id: str
    ready: bool
    shared: bool = False
    detail: str = ""  #: how many of the files are ready, in words


@dataclass(frozen=True)
class ThreadSeen:
    """A thread that existed before the job. `store_id`: its vector store, if it has one."""

    store_id: str | None


@dataclass(frozen=True)
class ThreadCreated:
    id: str  #: '' if runs need no thread
    run: RunObservation | None = None  #: started in the same call
    remote: bool = True


@dataclass(frozen=True)
class MessageAdded:
    pass


@dataclass(frozen=True)
class OutputReady:
    """A tool call has ended. Its output may describe a failure, for the model to read."""

    call_id: str
    output: str
    reusable: bool = True  #: the call succeeded, so a later run that makes the same call gets this output


@dataclass(frozen=True)
class FileNamed:
    id: str
    name: str


@dataclass(frozen=True)
class Downloaded:
    """A file the model made; its `error` says why it could not be stored."""

    artifact: Artifact


@dataclass(frozen=True)
class StepsRead:
    """What the run did, in order: code and its logs, searches and their results, function calls.

    A function call with a `call_id` has no output here: the worker adds the output that it submitted.
    """

    steps: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Unlocked:
    """The server was asked to cancel the foreign run that locks the thread."""


@dataclass(frozen=True)
class Deleted:
    """The object no longer exists, or its server cannot delete objects of its kind."""


@dataclass(frozen=True)
class NothingFound:
    """A call with an unknown outcome did not take effect."""


@dataclass(frozen=True)
class Unresolved:
    """The outcome of a call is still unknown. Repeating the call is safe, and shows the outcome."""


@dataclass(frozen=True)
class Untraceable:
    """The outcome of a call is unknown, and the server offers no way to find out."""


@dataclass(frozen=True)
class Rejected:
    """The server rejected the call; repeating it unchanged cannot help."""

    failure: Failure

    @property
    def reason(self) -> str:
        return self.failure.message


@dataclass(frozen=True)
class RunChanged:
    """The run's event stream reported a change, or ended: the run is polled next."""


@dataclass(frozen=True)
class Limited:
    """The call was not made: it must wait for a limit of the server's."""

    until: float  #: when to ask again, in seconds since 1970
    reason: str
    in_row: bool = False  #: it has to wait for its place in the row of its pool, which is open


@dataclass(frozen=True)
class NotSent:
    """The call had no effect and can be repeated: the server is busy, rate limited or unreachable."""

    reason: str
    kind: FailureKind = FailureKind.UNREACHABLE  #: the failure of the job if this lasts too long
    retry_after_s: float | None = None
    overloaded: bool = False  #: the server has too much to do, and says so
    may_be_down: bool = False  #: a proxy says the same of a server that is down

    @property
    def is_refusal(self) -> bool:
        """Whether the server takes no more calls for now."""
        return self.overloaded or self.kind is FailureKind.RATE_LIMITED

    @property
    def is_waited_for(self) -> bool:
        """Whether the job waits until its deadline: the server is reachable, so `unreachable_limit_s` is not for it."""
        return self.is_refusal and not self.may_be_down


@dataclass(frozen=True)
class LaneClosed:
    """The server does not accept the request in the job's lane or service tier. The call had no effect."""

    reason: str
    passes: bool = False  #: it lacks capacity now, and may take the request later
    retry_after_s: float | None = None


@dataclass(frozen=True)
class Unknown:
    """The call may have taken effect: its reply was lost, or was a server error."""

    reason: str
    kind: FailureKind = FailureKind.UNREACHABLE
    locked_by: str | None = None  #: the run that locks the thread: the job's own after a lost reply, or a foreign one
    overloaded: bool = False  #: the server has too much to do
    retry_after_s: float | None = None

    @property
    def is_refusal(self) -> bool:
        """As that of NotSent, though the call may have taken effect."""
        return self.overloaded

    @property
    def is_waited_for(self) -> bool:
        """As that of NotSent, if the server names a time: a proxy says the same of a server that is down."""
        return self.is_refusal and self.retry_after_s is not None


@dataclass(frozen=True)
class Unusable:
    """The reply cannot be read, and repeating the call does not help. The call may have taken effect."""

    reason: str


@dataclass(frozen=True)
class Gone:
    """The thread or run no longer exists."""

    reason: str


#: Results of the setup steps.
SetupObservation = Uploaded | StoreSeen | ThreadSeen

#: Parts of an answer.
AnswerPart = AnswerRead | FileNamed | Downloaded | StepsRead

#: Observations that do not show that the server is reachable.
Inconclusive = NothingFound | Unresolved | Untraceable | Unlocked | RunChanged | Limited

CallError = Rejected | NotSent | LaneClosed | Unknown | Unusable | Gone

Observation = (
    RunObservation
    | SetupObservation
    | ThreadCreated
    | MessageAdded
    | OutputReady
    | AnswerPart
    | Deleted
    | Inconclusive
    | CallError
)
