"""A run of a report for one night, as stored in Redis."""

from datetime import date, datetime
from enum import StrEnum

from pydantic import Field

from threadmill.job.model import StoredModel
from threadmill.job.result import Usage


class ReportState(StrEnum):
    """The state of a run."""

    MAKING = "making"  #: in production by the holder of its lease; without one, the next call resumes it
    PUBLISHED = "published"  #: its files are written, and deliveries were tried
    SKIPPED = "skipped"  #: without documents, which its definition allows; `report run` checks again
    FAILED = "failed"  #: `error` has the reason; `report run` tries again


class ReportRun(StoredModel):
    """One production of a report, named by its date."""

    report: str
    night: date
    state: ReportState = ReportState.MAKING
    revision: int = 1  #: incremented by --again
    attempts: int = 1  #: productions of this revision, without those that were stopped
    begun_at: datetime
    ended_at: datetime | None = None
    documents: int = 0
    failed_documents: int = 0
    usage: Usage = Usage()
    cost: float | None = None
    currency: str = "USD"
    link: str | None = None
    files: tuple[str, ...] = ()  #: the published files, deleted after `keep_days`
    error: str | None = None
    withheld: bool = False  #: produced with --no-deliver; the next `report run` without it delivers
    #: Finished deliveries: channel -> None, or why it was not delivered.
    deliveries: dict[str, str | None] = Field(default={})

    @property
    def is_over(self) -> bool:
        return self.state is not ReportState.MAKING

    @property
    def ok(self) -> bool:
        """Whether the report was published with all deliveries, or skipped."""
        good = self.state in (ReportState.PUBLISHED, ReportState.SKIPPED)
        return good and not any(self.deliveries.values())

    @property
    def label(self) -> str:
        """The name in batches, folders and keys: NAME.DATE, with the revision if it is not the first."""
        return f"{self.report}.{self.night}" + (f".{self.revision}" if self.revision > 1 else "")

    def begun(self, now: datetime, again: bool) -> "ReportRun":
        """Returns the run with its next attempt started.

        A finished run starts over and keeps its successful deliveries, or with `again` is a new revision.
        """
        if not self.is_over:
            return self.model_copy(update={"attempts": self.attempts + 1})
        if again:
            return ReportRun(
                report=self.report, night=self.night, begun_at=now, revision=self.revision + 1, files=self.files
            )
        arrived = [channel for channel, why in self.deliveries.items() if why is None and self.link]
        fresh = {"state": ReportState.MAKING, "error": None, "ended_at": None, "attempts": 1}
        return self.model_copy(update={**fresh, "deliveries": dict.fromkeys(arrived)})


def describe(run: ReportRun) -> str:
    """Returns a short description of the state, the error or link, and the deliveries."""
    undelivered = [f"{channel} not delivered: {why}" for channel, why in run.deliveries.items() if why]
    withheld = ["not delivered"] if run.withheld else []
    return ", ".join(filter(None, [run.state, run.error or run.link, *undelivered, *withheld]))
