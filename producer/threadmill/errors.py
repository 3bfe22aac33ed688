"""What a caller can get wrong or must bear. A job that failed is no error: it is a JobResult.

* ThreadmillError
  - InvalidJob        the job cannot be enqueued; the text names each wrong field
  - SettingsError     the settings cannot be used
  - KeyConflict       the idempotency key belongs to a job with another content
  - JobNotFound       no record of this id: never enqueued here, or its retention is over
  - StoreUnavailable  Redis does not answer
  - WaitTimeout       the job had not ended in time; it goes on
"""


class ThreadmillError(Exception):
    """The text names the thing, the reason and the remedy."""


class InvalidJob(ThreadmillError, ValueError):
    pass


class SettingsError(ThreadmillError):
    pass


class KeyConflict(ThreadmillError):
    def __init__(self, key: str, job_id: str, digest: str, new_digest: str) -> None:
        super().__init__(
            f"the key {key!r} belongs to job {job_id}, whose content differs "
            f"(fingerprint {digest[:12]}, this one {new_digest[:12]}). Use another key for another content"
        )
        self.job_id = job_id


class JobNotFound(ThreadmillError, LookupError):
    def __init__(self, job_id: str) -> None:
        super().__init__(f"there is no job {job_id}: never enqueued on this Redis, or no longer kept")


class StoreUnavailable(ThreadmillError):
    def __init__(self, redis_url: str, reason: Exception) -> None:
        super().__init__(
            f"Redis at {without_password(redis_url)} does not answer ({reason}). "
            "Start it, set REDIS_URL, or use --local"
        )


class WaitTimeout(ThreadmillError, TimeoutError):
    def __init__(self, job_id: str, timeout_s: float) -> None:
        super().__init__(f"job {job_id} had not ended after {timeout_s:g} s; it goes on, wait again")


def without_password(url: str) -> str:
    """A URL fit to be shown."""
    scheme, _, rest = url.rpartition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"
