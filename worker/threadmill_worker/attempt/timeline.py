"""The timeline of a claimed job, as its attempt adds to it. Each save takes it along if it has changed."""

from collections.abc import Callable

from threadmill.job.events.timeline import Timeline, TimelineKind, add, to_json
from threadmill.store.records.job import JobRecord
from threadmill_worker.lifecycle.progress import Progress
from threadmill_worker.lifecycle.timeline import happened


class AttemptTimeline:
    """Continues the timeline of the record. `clock`: Redis' time in seconds since 1970."""

    def __init__(self, record: JobRecord, endpoint: str, clock: Callable[[], float]) -> None:
        self._created_at = record.created_at.timestamp()
        self._clock = clock
        self.entries = self._saved = record.timeline
        self.note(TimelineKind.CLAIMED, _claim(record, endpoint))
        if record.cancel_requested:
            self.note(TimelineKind.CANCEL_ASKED)

    def note(self, kind: TimelineKind, detail: str = "") -> None:
        """Adds an entry for now."""
        self.entries = add(self.entries, self._clock() - self._created_at, kind, detail)

    def changed(self, before: Progress, after: Progress) -> None:
        """Adds what happened in a step."""
        if after is not before:
            for kind, detail in happened(before, after):
                self.note(kind, detail)

    @property
    def text(self) -> str:
        """The timeline as JSON."""
        return to_json(self.entries)

    @property
    def unsaved(self) -> str | None:
        """The timeline as JSON; None if the record has it."""
        return None if self.entries is self._saved else self.text

    def saved(self, entries: Timeline) -> None:
        """Says that the record has these entries. Others may have been added since they were sent."""
        self._saved = entries


def _claim(record: JobRecord, endpoint: str) -> str:
    """Says who runs an attempt, where, and what came before it."""
    after = [f"{record.interruptions} interrupted in a row"] if record.interruptions else []
    after += [f"{record.limited_s:.1f} s of waiting for limits"] if record.limited_s else []
    after += ["the batch lane"] if record.lane_since else []
    where = "in a process of its own, " if record.own_process else ""
    text = f"{where}attempt {record.attempts} by worker {record.worker} for endpoint {endpoint}"
    return f"{text}, after {' and '.join(after)}" if after else text
