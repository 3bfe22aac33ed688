"""Exceptions raised to callers. A failed job does not raise: it has a JobResult with a `failure`.

* ThreadmillError
  - InvalidJob        the job cannot be enqueued; the text names each wrong field
  - SettingsError     the settings cannot be used
    - NoEndpoint      no endpoint is configured, and the job names none
  - InvalidProfile    the profile in a file is invalid; the text names file and field
  - InvalidReport     the definition of a report is invalid; the text names file and field
  - MissingExtra      an extra of threadmill is not installed; also a ModuleNotFoundError
  - KeyConflict       the idempotency key belongs to a job with different content
  - JobNotFound       there is no record with this id: never enqueued here, or no longer kept
    - InvalidJobId    the text is not a job id
  - JobNotEnded       the job is open, and only jobs that have ended can be deleted
  - UnreadableRecord  the job's record is damaged, or a newer version wrote it
    - NewerRecord     a newer version wrote it, and this version does not know all of it
  - BatchNotFound     no batch with this name is kept
  - ThreadNotFound    no thread with this id is kept
  - ThreadInUse       jobs wait for the thread or run on it
  - StoreUnavailable  Redis cannot be used now
    - StoreRefused    a retry cannot help: password, permission, database, memory or disk
  - WaitTimeout       the job has not ended in time; it continues
  - InvalidEntryId    the text is not the `entry_id` of an event
  - InvalidCursor     the text is not the cursor of a page of this list
  - InvalidApiKey     the API key cannot be created; the text names each wrong field
  - ApiKeyExists      there is an API key with this name
  - ApiKeyNotFound    there is no API key with this name
  - UploadNotFound    no upload with this id is kept, or it belongs to another tenant
  - UploadTooLarge    the file has more bytes than `upload_limit_bytes`
  - UploadNotStored   the store of artifacts cannot store a file, or read it
  - ClientClosed      the AsyncClient was closed, or a call waited on it when it was
"""

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from threadmill.names import JOB_ID_RULE
from threadmill.secrets.redaction import redact
from threadmill.stored import describe


class ThreadmillError(Exception):
    """The text names the thing, the reason and the remedy. It holds no secret of this process."""

    def __init__(self, *args: object) -> None:
        super().__init__(*(redact(each) if isinstance(each, str) else each for each in args))


class InvalidJob(ThreadmillError, ValueError):
    pass


class SettingsError(ThreadmillError):
    pass


class NoEndpoint(SettingsError):
    """`reason`: the text without the advice for programs, which commands replace with their own."""

    def __init__(self, config: str) -> None:
        self.reason = (
            f"no endpoint is configured. Set DAVINCI_API_KEY or OPENAI_API_KEY, or write [endpoints.NAME] in {config}"
        )
        super().__init__(
            f"{self.reason}. To try a program without a server: "
            "threadmill local --endpoint emulator -- python PROGRAM.py"
        )


class InvalidProfile(ThreadmillError, ValueError):
    pass


class InvalidReport(ThreadmillError, ValueError):
    pass


class MissingExtra(ThreadmillError, ModuleNotFoundError):
    """A part of threadmill is used whose extra is not installed. `name`: the package that is missing."""

    def __init__(self, extra: str, package: str, remedy: str) -> None:
        super().__init__(f"this needs threadmill[{extra}], which is not installed here: {remedy}")
        self.name = package


class KeyConflict(ThreadmillError):
    """`differences`: the fields that differ, each with the value of the existing and of the refused job."""

    def __init__(self, key: str, job_id: str, differences: Mapping[str, tuple[object, object]]) -> None:
        shown = "; ".join(
            f"{name}: {short_repr(old)} there, {short_repr(new)} here" for name, (old, new) in differences.items()
        )
        super().__init__(f"the key {key!r} belongs to job {job_id}, whose content differs ({shown}). Use another key")
        self.job_id = job_id
        self.differences = differences


class JobNotFound(ThreadmillError, LookupError):
    def __init__(self, job_id: str) -> None:
        super().__init__(f"there is no job {job_id}: it was never enqueued on this Redis, or is no longer kept")


class InvalidJobId(JobNotFound):
    """The text is not a job id."""

    def __init__(self, job_id: object) -> None:
        ThreadmillError.__init__(self, f"{job_id!r:.100} is not a job id: {JOB_ID_RULE}")


class JobNotEnded(ThreadmillError):
    def __init__(self, job_id: str, state: str) -> None:
        super().__init__(f"job {job_id} is {state}: cancel it, and delete it when it has ended")


class UnreadableRecord(ThreadmillError):
    """`field` and `kind` say which part is unreadable and why, `reason` says it in words. None quotes the record."""

    def __init__(self, job_id: str, field: str, kind: str) -> None:
        self.job_id = job_id
        self.field = field
        self.kind = kind
        self.reason = f"its record is damaged or was written by a newer version ({describe(field, kind)})"
        super().__init__(
            f"job {job_id} cannot be read: {self.reason}. `threadmill jobs show {job_id} --raw` shows what is stored, "
            f"`threadmill jobs cancel {job_id}` ends it"
        )


class NewerRecord(UnreadableRecord):
    """A newer version wrote `field`. Nothing is wrong with the job: a worker of that version can run it."""

    def __init__(self, job_id: str, field: str, kind: str) -> None:
        super().__init__(job_id, field, kind)
        self.reason = f"its record was written by a newer version of threadmill ({describe(field, kind)})"
        self.args = (
            f"job {job_id} cannot be read: {self.reason}. Update threadmill here; "
            f"`threadmill jobs show {job_id} --raw` shows what is stored",
        )


class BatchNotFound(ThreadmillError, LookupError):
    """`known`: the names of the kept batches, to suggest a similar one."""

    def __init__(self, name: str, known: Iterable[str] = ()) -> None:
        close = " or ".join(map(repr, get_close_matches(name, list(known))))
        super().__init__(
            f"there is no batch {name!r}, or it is no longer kept; "
            f"{f'did you mean {close}? ' if close else ''}`threadmill batch list` lists those there are"
        )


class ThreadNotFound(ThreadmillError, LookupError):
    def __init__(self, thread_id: str) -> None:
        super().__init__(f"thread {thread_id} is not kept here; `threadmill threads` lists those that are")


class ThreadInUse(ThreadmillError):
    """`job_ids`: the jobs that wait for the thread or run on it, in the order of their turns."""

    def __init__(self, thread_id: str, job_ids: Sequence[str]) -> None:
        named = ", ".join(job_ids[:5]) + (f" and {len(job_ids) - 5} more" if len(job_ids) > 5 else "")
        super().__init__(f"thread {thread_id} is in use by {named}: wait for these jobs or cancel them, or use force")
        self.job_ids = tuple(job_ids)


class StoreUnavailable(ThreadmillError):
    """`what` says why Redis cannot be used, after the subject "Redis"; or it is the exception of a failed call.

    `enqueued`: after `enqueue_many`, the handles of the jobs that were enqueued, by position in its argument
    `unknown`: the positions of the jobs that may have been enqueued, because Redis' reply was lost
    """

    def __init__(self, redis_url: str, what: str | Exception, remedy: str = "start it, or set REDIS_URL") -> None:
        if isinstance(what, Exception):
            what = f"does not answer ({str(what).rstrip('.')})"
        super().__init__(f"Redis at {without_password(redis_url)} {what}: {remedy}")
        self.enqueued: Mapping[int, Any] = {}
        self.unknown: Sequence[int] = ()

    def add_jobs(self, total: int, enqueued: Mapping[int, Any], unknown: Sequence[int]) -> None:
        """Adds which of `total` jobs were enqueued."""
        self.enqueued, self.unknown = enqueued, unknown
        if enqueued or unknown:
            doubt = f", {len(unknown)} may be" if unknown else ""
            self.args = (
                f"{self}. {len(enqueued)} of {total} jobs are enqueued{doubt}. "
                "Those with a `key` can be enqueued again without harm",
            )


class StoreRefused(StoreUnavailable):
    """A retry cannot help: somebody has to correct Redis or its URL."""


class WaitTimeout(ThreadmillError, TimeoutError):
    def __init__(self, job_id: str, timeout_s: float) -> None:
        super().__init__(f"job {job_id} has not finished after {timeout_s:g} s; it continues, so wait again")


class InvalidEntryId(ThreadmillError, ValueError):
    def __init__(self, entry_id: object) -> None:
        super().__init__(f"{entry_id!r:.100} is not the entry_id of an event: take it from an event of this job")


class InvalidCursor(ThreadmillError, ValueError):
    def __init__(self, cursor: object) -> None:
        super().__init__(
            f"{cursor!r:.100} is not a cursor of this list: take `next_cursor` of a page made with the same filter"
        )


class InvalidApiKey(ThreadmillError, ValueError):
    pass


class ApiKeyExists(ThreadmillError):
    def __init__(self, name: str) -> None:
        super().__init__(
            f"there is an API key named {name!r:.110}: use another name, or revoke it first (threadmill keys revoke)"
        )


class ApiKeyNotFound(ThreadmillError, LookupError):
    def __init__(self, name: str) -> None:
        super().__init__(f"there is no API key named {name!r:.110}; `threadmill keys list` lists those there are")


class UploadNotFound(ThreadmillError, LookupError):
    def __init__(self, upload_id: str) -> None:
        super().__init__(
            f"there is no upload {upload_id!r:.110}: it was deleted, has expired, or belongs to another tenant; "
            "upload the file again"
        )


class UploadTooLarge(ThreadmillError):
    def __init__(self, limit: int) -> None:
        super().__init__(
            f"the file has more than {limit:,} bytes: upload a smaller one, or have upload_limit_bytes raised"
        )


class UploadNotStored(ThreadmillError):
    def __init__(self, reason: Exception) -> None:
        super().__init__(
            f"the upload cannot be stored or read ({str(reason) or type(reason).__name__:.200}): "
            "check the setting `artifacts`, and that there is space"
        )


class ClientClosed(ThreadmillError):
    def __init__(self) -> None:
        super().__init__("the AsyncClient is closed: make another one, and close it only when no call needs it")


def short_repr(value: object, limit: int = 60) -> str:
    """Returns `repr(value)`, shortened for a message."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"


def without_password(url: str) -> str:
    """Returns the URL without user, password and options."""
    scheme, separator, rest = url.rpartition("://")
    address, _, options = rest.partition("?")
    if "@" in options:  # a password with `?` or an option with `@`: show neither
        address = "..."
    return f"{scheme}{separator}{address.rpartition('@')[2]}"
