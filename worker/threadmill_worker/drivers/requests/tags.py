"""Tags: metadata on every object that the worker creates, by which it finds the object after a lost reply."""

from typing import Any

#: Metadata `threadmill: JOB/WHAT`; WHAT is run-ORDINAL, message-INDEX or store. Assistants: `profile/NAME`.
_TAG = "threadmill"


def job_tag(job_id: str, redrives: int) -> str:
    """Returns the JOB of a tag. It changes with each redrive, so that older objects are not mistaken for new ones."""
    return f"{job_id}+{redrives}" if redrives else job_id


def tag(job_id: str, what: str) -> dict[str, str]:
    return {_TAG: f"{job_id}/{what}"}


def run_name(ordinal: int) -> str:
    """Returns the name of a run, in the tag of its first request."""
    return f"run-{ordinal}"


def is_tagged(thing: dict[str, Any], job_id: str, what: str) -> bool:
    """Whether a remote object was created for the job."""
    metadata = thing.get("metadata")
    return isinstance(metadata, dict) and tag(job_id, what).items() <= metadata.items()


def key_of(thing: dict[str, Any], moment: float) -> str:
    """Returns the idempotency key of the request that creates a tagged object. Repetitions have the same key."""
    return f"{thing['metadata'][_TAG]}@{moment:.3f}"


def tag_of(thing: dict[str, Any]) -> str | None:
    """Returns the tag of a remote object, JOB/WHAT; None if it has none."""
    metadata = thing.get("metadata")
    value = metadata.get(_TAG) if isinstance(metadata, dict) else None
    return None if value is None else str(value)


def profile_of(thing: dict[str, Any]) -> str | None:
    """Returns the name of the profile in an assistant's tag; None if it has no such tag."""
    value = tag_of(thing) or ""
    return value.removeprefix("profile/") if value.startswith("profile/") else None


def without_tag(metadata: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in metadata.items() if name != _TAG}
