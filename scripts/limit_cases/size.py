"""How large the cases are."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    jobs: int  #: of a drain
    queued: int  #: before an urgent job
    large: int  #: jobs of the large batch
    documents: int  #: of a document set over Chat Completions
    hold_s: float  #: how long a changed limit is held
    wire: str
