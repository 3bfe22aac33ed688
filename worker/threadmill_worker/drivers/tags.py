"""The mark that what we make carries: by it, it is found again when a creation reply was lost."""

from typing import Any

#: Metadata `threadmill: JOB/WHAT`; WHAT is run-ORDINAL, message-INDEX or store. Assistants: `profile/NAME`.
_TAG = "threadmill"


def tag(job_id: str, what: str) -> dict[str, str]:
    return {_TAG: f"{job_id}/{what}"}


def is_tagged(thing: dict[str, Any], job_id: str, what: str) -> bool:
    """Whether a thing of the server is the job's own."""
    metadata = thing.get("metadata")
    return isinstance(metadata, dict) and tag(job_id, what).items() <= metadata.items()


def key_of(thing: dict[str, Any], moment: float) -> str:
    """The idempotency key of the request that makes a marked thing: the same for each repetition of it."""
    return f"{thing['metadata'][_TAG]}@{moment:.3f}"


def tag_of(thing: dict[str, Any]) -> str | None:
    """JOB/WHAT of a thing of the server; None if it is not ours."""
    metadata = thing.get("metadata")
    value = metadata.get(_TAG) if isinstance(metadata, dict) else None
    return None if value is None else str(value)


def profile_of(thing: dict[str, Any]) -> str | None:
    """The profile that an assistant is marked as made from."""
    value = tag_of(thing) or ""
    return value.removeprefix("profile/") if value.startswith("profile/") else None


def without_tag(metadata: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in metadata.items() if name != _TAG}
