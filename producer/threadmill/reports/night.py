"""One night of a report, as Redis keeps it."""

from datetime import date, datetime
from enum import StrEnum

from pydantic import Field

from threadmill.border import Stored
from threadmill.result import Usage


class NightState(StrEnum):
    MAKING = "making"  #: begun; who holds it makes it, else the next call goes on
    PUBLISHED = "published"  #: its files are in the folder, and what could be delivered is
    SKIPPED = "skipped"  #: it has no documents, and need not have any; `report run` looks again
    FAILED = "failed"  #: the error says why; `report run` tries again


class Night(Stored):
    """One night of a report."""

    report: str
    night: date
    state: NightState = NightState.MAKING
    edition: int = 1  #: made anew with --again
    attempts: int = 1  #: to make this edition that did not end by a wish to stop
    begun_at: datetime
    ended_at: datetime | None = None
    documents: int = 0
    failed_documents: int = 0
    usage: Usage = Usage()
    cost: float | None = None
    currency: str = "USD"
    link: str | None = None
    files: tuple[str, ...] = ()  #: that were published, for the day when they are too old
    error: str | None = None
    withheld: bool = False  #: produced with --no-deliver; the next `report run` without it delivers
    #: What is settled: channel -> None, or why it was not delivered.
    deliveries: dict[str, str | None] = Field(default={})

    @property
    def is_over(self) -> bool:
        return self.state is not NightState.MAKING

    @property
    def ok(self) -> bool:
        """Published, and all of its deliveries arrived; or there was nothing to make."""
        good = self.state in (NightState.PUBLISHED, NightState.SKIPPED)
        return good and not any(self.deliveries.values())

    @property
    def label(self) -> str:
        """In batches, folders and keys: NAME, the date, and which edition if it is not the first."""
        return f"{self.report}.{self.night}" + (f".{self.edition}" if self.edition > 1 else "")

    def begun(self, now: datetime, again: bool) -> "Night":
        """The next attempt. Of a night that is over it is a new one, with what it has; `again`: with nothing."""
        if not self.is_over:
            return self.model_copy(update={"attempts": self.attempts + 1})
        if again:
            return Night(report=self.report, night=self.night, begun_at=now, edition=self.edition + 1, files=self.files)
        arrived = [channel for channel, why in self.deliveries.items() if why is None and self.link]
        fresh = {"state": NightState.MAKING, "error": None, "ended_at": None, "attempts": 1}
        return self.model_copy(update={**fresh, "deliveries": dict.fromkeys(arrived)})


def describe(night: Night) -> str:
    """How it stands, in a few words."""
    undelivered = [f"{channel} not delivered: {why}" for channel, why in night.deliveries.items() if why]
    withheld = ["not delivered"] if night.withheld else []
    return ", ".join(filter(None, [night.state, night.error or night.link, *undelivered, *withheld]))
