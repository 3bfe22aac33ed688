"""A report that has been made: what a page shows of it."""

from dataclasses import dataclass, field
from datetime import date, datetime

from threadmill.result import Citation, Failure, Usage


@dataclass(frozen=True)
class Section:
    """What the report has of one document."""

    name: str
    path: str  #: as found; a link leads there where it is a file
    text: str  #: Markdown; empty if it failed
    failure: Failure | None = None
    citations: tuple[Citation, ...] = ()
    usage: Usage = field(default_factory=Usage)
    seconds: float = 0.0  #: from the first claim of its job to its end


@dataclass(frozen=True)
class Report:
    """One night of a report."""

    name: str
    title: str
    night: date  #: the day that it is about
    made_at: datetime  #: aware, in the report's time zone
    summary: str  #: Markdown: what all answers were reduced to
    sections: tuple[Section, ...]  #: in the order of the documents
    usage: Usage = field(default_factory=Usage)  #: of sections and summary together
    seconds: float = 0.0  #: that it took
    cost: float | None = None  #: in `currency`; None: no price is known
    currency: str = "USD"
    models: tuple[str, ...] = ()  #: that answered, where the server names them

    @property
    def failed(self) -> tuple[Section, ...]:
        return tuple(section for section in self.sections if section.failure is not None)
