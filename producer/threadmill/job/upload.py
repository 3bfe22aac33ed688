"""The records of uploads: files that threadmill stores for jobs."""

from uuid import uuid4

from pydantic import AwareDatetime

from threadmill.job.model import StoredModel


def new_upload_id() -> str:
    """Returns an id that no server gives to its files."""
    return f"file-tm-{uuid4().hex}"


class Upload(StoredModel):
    """A file that is stored beside the artifacts, for jobs or as the lines of a batch."""

    id: str
    name: str
    size: int  #: bytes
    purpose: str  #: what its owner said
    owner: str | None  #: the tenant that may use it; None: everybody
    created_at: AwareDatetime
    expires_at: AwareDatetime
    until_used: bool = False  #: it is deleted when the jobs that use it have ended
