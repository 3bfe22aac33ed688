"""Exceptions raised to callers. A failed job does not raise: it has a JobResult with a `failure`.

* ThreadmillError
  - InvalidJob        the job cannot be enqueued; the text names each wrong field
  - SettingsError     the settings cannot be used
    - NoEndpoint      no endpoint is configured, and the job names none
  - InvalidProfile    a file's profile cannot be used; the text names file, line and field
  - InvalidReport     a report's definition cannot be used; the text names file and field
  - KeyConflict       the idempotency key belongs to a job with another content
  - JobNotFound       no record of this id: never enqueued here, or its retention is over
    - InvalidJobId    no job can have this id
  - UnreadableRecord  the job's record is damaged, or a newer version wrote it
    - NewerRecord     a newer version wrote it, and this one does not know all of it
  - BatchNotFound     no batch of this name is kept
  - ThreadNotFound    no such thread is kept
  - ThreadInUse       jobs wait or run on the thread
  - StoreUnavailable  Redis cannot be used now
    - StoreRefused    nor will it be until somebody acts: password, permission, database, memory, disk
  - WaitTimeout       the job has not finished in time; it continues
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
    """`reason`: the text without how to try a program on the emulator, which is no advice at a command line."""

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


class KeyConflict(ThreadmillError):
    """`differences`: the fields that differ, each with the value of the job there is and the one refused."""

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
    """No job can have this id."""

    def __init__(self, job_id: object) -> None:
        ThreadmillError.__init__(self, f"{job_id!r:.100} is not a job id: {JOB_ID_RULE}")


class UnreadableRecord(ThreadmillError):
    """`field` and `kind`: where the record is damaged, and how; `reason`: that in words. None of them quotes it."""

    def __init__(self, job_id: str, field: str, kind: str) -> None:
        self.job_id = job_id
        self.field = field
        self.kind = kind
        self.reason = f"its record is damaged or was written by a newer version ({describe(field, kind)})"
        super().__init__(
            f"job {job_id} cannot be read: {self.reason}. `threadmill status {job_id} --raw` shows what is stored, "
            f"`threadmill cancel {job_id}` ends it"
        )


class NewerRecord(UnreadableRecord):
    """Only a newer version knows what `field` says. Nothing is wrong with the job: a worker of that version runs it."""

    def __init__(self, job_id: str, field: str, kind: str) -> None:
        super().__init__(job_id, field, kind)
        self.reason = f"its record was written by a newer version of threadmill ({describe(field, kind)})"
        self.args = (
            f"job {job_id} cannot be read: {self.reason}. Update threadmill here; "
            f"`threadmill status {job_id} --raw` shows what is stored",
        )


class BatchNotFound(ThreadmillError, LookupError):
    """`known`: the names of the batches that are kept."""

    def __init__(self, name: str, known: Iterable[str] = ()) -> None:
        close = " or ".join(map(repr, get_close_matches(name, list(known))))
        super().__init__(
            f"there is no batch {name!r}, or it is no longer kept; "
            f"{f'did you mean {close}? ' if close else ''}`threadmill batches` lists those there are"
        )


class ThreadNotFound(ThreadmillError, LookupError):
    def __init__(self, thread_id: str) -> None:
        super().__init__(f"thread {thread_id} is not kept here; `threadmill threads` lists those that are")


class ThreadInUse(ThreadmillError):
    """`job_ids`: the jobs that wait or run on it, in the order of their turns."""

    def __init__(self, thread_id: str, job_ids: Sequence[str]) -> None:
        named = ", ".join(job_ids[:5]) + (f" and {len(job_ids) - 5} more" if len(job_ids) > 5 else "")
        super().__init__(f"thread {thread_id} is in use by {named}: wait for these jobs or cancel them, or use force")
        self.job_ids = tuple(job_ids)


class StoreUnavailable(ThreadmillError):
    """`what`: why Redis cannot be used, with "Redis" as its subject, or the exception of a call that got no answer.

    `enqueued`: from `enqueue_many`, the handles of the jobs that were enqueued, by position in its argument
    `unknown`: the positions of those that may have been enqueued: Redis' reply was lost
    """

    def __init__(self, redis_url: str, what: str | Exception, remedy: str = "start it, or set REDIS_URL") -> None:
        if isinstance(what, Exception):
            what = f"does not answer ({str(what).rstrip('.')})"
        super().__init__(f"Redis at {without_password(redis_url)} {what}: {remedy}")
        self.enqueued: Mapping[int, Any] = {}
        self.unknown: Sequence[int] = ()

    def add_jobs(self, total: int, enqueued: Mapping[int, Any], unknown: Sequence[int]) -> None:
        """Adds what became of `total` jobs that were to be enqueued."""
        self.enqueued, self.unknown = enqueued, unknown
        if enqueued or unknown:
            doubt = f", {len(unknown)} may be" if unknown else ""
            self.args = (
                f"{self}. {len(enqueued)} of {total} jobs are enqueued{doubt}. "
                "Those with a `key` can be enqueued again without harm",
            )


class StoreRefused(StoreUnavailable):
    """It stays so until somebody acts: no use trying again."""


class WaitTimeout(ThreadmillError, TimeoutError):
    def __init__(self, job_id: str, timeout_s: float) -> None:
        super().__init__(f"job {job_id} has not finished after {timeout_s:g} s; it continues, so wait again")


def short_repr(value: object, limit: int = 60) -> str:
    """Returns `repr(value)`, shortened for a message."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"


def without_password(url: str) -> str:
    """The URL without user, password and options."""
    scheme, separator, rest = url.rpartition("://")
    address, _, options = rest.partition("?")
    if "@" in options:  # a password with a bare `?`, or an option with a bare `@`: nothing tells which
        address = "..."
    return f"{scheme}{separator}{address.rpartition('@')[2]}"
