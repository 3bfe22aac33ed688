"""The records of remote objects: kept threads, applied assistants, leftovers."""

import json
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, Field

from threadmill.job.model import StoredModel
from threadmill.secrets.redaction import redact_all


class LeftoverRecord(StoredModel):
    """A remote object that still has to be deleted after its job has ended."""

    endpoint: str
    kind: str  #: "thread", "response", "container", "file", "vector_store"; or "run", which is cancelled
    id: str  #: THREAD/RUN for a run on a thread
    key: str | None = None  #: the variable with the key that it belongs to, if its endpoint has several keys

    def to_json(self) -> str:
        """Returns the JSON under which it is stored. It is the same as that of versions without `key`."""
        return self.model_dump_json(exclude_none=True)


#: Characters of a transcript's JSON. A longer one of a chain is not kept; one of a local thread is shortened.
TRANSCRIPT_LIMIT = 1_000_000


class Transcript(StoredModel):
    """The messages of a thread, oldest first.

    Those of a chain are input items for the next response, those of a local thread messages of Chat Completions.
    """

    items: tuple[dict[str, Any], ...]

    def to_json(self) -> str:
        """Returns the JSON with secrets redacted."""
        return json.dumps({"items": redact_all(list(self.items))}, ensure_ascii=False)


#: The kind of a thread: a thread of the Assistants API, a conversation, a chain of responses, or, for a server that
#: stores nothing, a transcript that only threadmill has.
ThreadKind = Literal["thread", "conversation", "chain", "local"]


class KeptThread(StoredModel):
    """A thread that is kept for later jobs: until somebody deletes it, or until a local one expires."""

    endpoint: str
    id: str
    kind: ThreadKind | None = None  #: None: an older version of threadmill did not store it
    job_id: str  #: the last job on it
    created_at: AwareDatetime  #: when the thread was first kept
    used_at: AwareDatetime  #: when the last job ended
    jobs: int = 1  #: number of jobs that have ended on it
    job_ids: tuple[str, ...] = ()  #: the last of them, at most 30, the oldest first; (): of an older version
    assistant: str | None = None
    latest: str | None = None  #: chains: the response to continue from; '': the server stores no responses
    transcript: Transcript | None = Field(None, exclude=True)  #: see `has_transcript`; stored under a separate key
    dropped: int = 0  #: local: messages dropped from the beginning of its transcript because it was too long
    expires_at: AwareDatetime | None = None  #: local: when it expires unless a job renews it; stored separately
    things: dict[str, str] = Field(default={})  #: objects deleted with the thread: id -> "file" or "vector_store"
    key: str | None = None  #: the variable with the key that it belongs to, if its endpoint has several keys

    @property
    def has_transcript(self) -> bool:
        """Whether Redis has its transcript: that of a chain of responses, or of a local thread.

        Without a stored kind it is a chain or not, as its id says.
        """
        return self.kind in ("chain", "local") or (self.kind is None and self.id.startswith("resp"))

    @property
    def transcript_json(self) -> str | None:
        """The transcript as it is stored, with secrets redacted. None: there is none, or a chain's is too long."""
        text = self.transcript.to_json() if self.transcript else None
        return text if text is None or self.kind == "local" or len(text) <= TRANSCRIPT_LIMIT else None

    @property
    def leftovers(self) -> tuple[LeftoverRecord, ...]:
        """The thread and its objects, which have to be deleted. A local thread has none."""
        if self.kind == "local":
            return ()
        kind = "response" if self.has_transcript else "thread"
        things = [(kind, self.id), *((kind, id) for id, kind in self.things.items())]
        return tuple(LeftoverRecord(endpoint=self.endpoint, kind=kind, id=id, key=self.key) for kind, id in things)


class ThreadPage(BaseModel):
    """A part of the kept threads."""

    threads: list[KeptThread]
    next_cursor: str | None  #: None after the last part


class Applied(StoredModel):
    """The remote assistant that a profile was applied to."""

    id: str
    applied_at: AwareDatetime
    digest: str  #: fingerprint of the applied profile
    key: str | None = None  #: the variable with the key that it belongs to, if its endpoint has several keys


class Leftover(LeftoverRecord):
    """A leftover with the state of its deletion."""

    tries: int  #: failed attempts
    due_at: AwareDatetime | None  #: the next attempt; None: given up until `threadmill leftovers --retry`
