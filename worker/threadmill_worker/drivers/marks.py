"""The mark that runs, messages and stores of ours carry: by it they are found again when a creation reply was lost."""

from typing import Any

#: Metadata `threadmill: JOB/WHAT`; WHAT is run-ORDINAL, message-INDEX or store.
_MARK = "threadmill"


def mark(job_id: str, what: str) -> dict[str, str]:
    return {_MARK: f"{job_id}/{what}"}


def is_marked(thing: dict[str, Any], job_id: str, what: str) -> bool:
    """Whether a thing of the server is the job's own."""
    metadata = thing.get("metadata")
    return isinstance(metadata, dict) and mark(job_id, what).items() <= metadata.items()
