"""Batches whose jobs are the lines of an upload, as callers of the gateway make them."""

from enum import StrEnum
from typing import NamedTuple
from uuid import uuid4

from pydantic import AwareDatetime, Field

from threadmill.job.model import Metadata, StoredModel


def new_file_batch_id() -> str:
    return f"batch_{uuid4().hex}"


class FileBatchPhase(StrEnum):
    """How far the lines have come. What becomes of the jobs is in the batch's counters."""

    VALIDATING = "validating"  #: no line is a job yet
    FAILED = "failed"  #: a line is wrong; no line becomes a job
    ENQUEUEING = "enqueueing"  #: all lines are right, and become jobs
    ENQUEUED = "enqueued"  #: every line is a job
    STOPPED = "stopped"  #: it was cancelled: no more lines become jobs, and open jobs were asked to end


#: A gateway has something to do with the lines.
UNFINISHED = frozenset({FileBatchPhase.VALIDATING, FileBatchPhase.ENQUEUEING})


class LineError(StoredModel):
    """Why a line cannot be a job."""

    line: int | None  #: from 1; None: the whole file
    message: str
    code: str | None = None
    param: str | None = None


class FileBatch(StoredModel):
    """What its creator asked for. It never changes."""

    id: str
    owner: str | None  #: the tenant of its jobs; None: they have none
    batch: str  #: the name of the batch of its jobs
    route: str  #: what the lines are requests to, such as /v1/responses
    upload_id: str
    completion_window: str
    metadata: Metadata = Field(default={})
    created_at: AwareDatetime
    deadline_at: AwareDatetime
    endpoints: tuple[str, ...] | None = None  #: that its jobs may use; None: all
    max_open_jobs: int | None = None  #: of its owner; lines wait until there are fewer


class FileBatchState(StoredModel):
    """What has become of its lines."""

    phase: FileBatchPhase = FileBatchPhase.VALIDATING
    total: int = 0  #: lines that are not blank; 0: not yet known
    enqueued: int = 0  #: the first lines, which are jobs; blank ones count
    errors: tuple[LineError, ...] = ()
    began_at: AwareDatetime | None = None  #: when all lines had been found right
    failed_at: AwareDatetime | None = None
    cancelling_at: AwareDatetime | None = None  #: when its owner cancelled it


class KeptFileBatch(NamedTuple):
    made: FileBatch
    state: FileBatchState
