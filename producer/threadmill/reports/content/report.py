"""The content of a report."""

from dataclasses import dataclass, field
from datetime import date, datetime

from threadmill.job.result import Citation, Failure, Usage


@dataclass(frozen=True)
class Section:
    """The answer or the failure of one document."""

    name: str
    path: str  #: as found; the page links to it if it is a file
    text: str  #: Markdown; empty if the document failed
    failure: Failure | None = None
    citations: tuple[Citation, ...] = ()
    usage: Usage = field(default_factory=Usage)
    seconds: float = 0.0  #: from the first claim of the job to its end


@dataclass(frozen=True)
class Report:
    """The report of one night."""

    name: str
    title: str
    night: date  #: the day that it is about
    made_at: datetime  #: aware, in the report's time zone
    summary: str  #: Markdown, reduced from all answers
    sections: tuple[Section, ...]  #: in the order of the documents
    usage: Usage = field(default_factory=Usage)  #: of sections and summary
    seconds: float = 0.0  #: the duration of the production
    cost: float | None = None  #: in `currency`; None: no price is known
    currency: str = "USD"
    models: tuple[str, ...] = ()  #: the models that answered, if the server names them

    @property
    def failed(self) -> tuple[Section, ...]:
        return tuple(section for section in self.sections if section.failure is not None)
