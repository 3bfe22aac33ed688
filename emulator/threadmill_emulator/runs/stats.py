"""Counters since the start; they also count threads that have been deleted."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from threadmill_emulator.runs.run import Run


@dataclass
class Stats:
    threads_created: int = 0
    runs_created: int = 0
    peak_runs: int = 0  #: the largest number of active runs at one time
    calls: Counter[str] = field(default_factory=Counter)  #: requests by route name
    refused: Counter[int] = field(default_factory=Counter)  #: replies other than 2xx, by status
    ended: Counter[str] = field(default_factory=Counter)  #: runs by last status; "deleted" with their thread
    responses: Counter[str] = field(default_factory=Counter)  #: ended responses, by last status
    completions: Counter[str] = field(default_factory=Counter)  #: ended chat completions, by last status of their run
    asked: Counter[int] = field(default_factory=Counter)  #: chat completions, by the hash of their messages
    plugin_calls: Counter[str] = field(default_factory=Counter)  #: by function name
    outputs: Counter[str] = field(default_factory=Counter)  #: tool outputs taken, by call id
    completed: list[dict[str, str]] = field(default_factory=list)  #: the metadata of each completed run and response

    #: Called with the id of each run or response that has ended, and the tokens it used; None: unknown.
    on_end: Callable[[str, int | None], None] = lambda id, used: None

    def run_ended(self, run: Run, status: str) -> None:
        self.ended[status] += 1
        self._ended(run.id, run.metadata, status, run.usage)

    def response_ended(
        self, id: str, metadata: dict[str, str] | None, status: str, usage: dict[str, int] | None = None
    ) -> None:
        self.responses[status] += 1
        self._ended(id, metadata or {}, status, usage)

    def completion_ended(self, id: str, metadata: dict[str, str], status: str, usage: dict[str, int] | None) -> None:
        """`status`: that of its run; "hung_up" if the client did not wait for the end."""
        self.completions[status] += 1
        self._ended(id, metadata, status, usage)

    def _ended(self, id: str, metadata: dict[str, str], status: str, usage: dict[str, int] | None) -> None:
        self.on_end(id, _total(usage))
        if status == "completed":
            self.completed.append(dict(metadata))

    def completed_by(self, key: str) -> dict[str, int]:
        return dict(Counter(metadata[key] for metadata in self.completed if key in metadata))

    def outputs_summary(self) -> dict[str, Any]:
        return {
            "submitted": self.outputs.total(),
            "call_ids": len(self.outputs),
            "most_for_one_call_id": max(self.outputs.values(), default=0),
        }


def _total(usage: dict[str, int] | None) -> int | None:
    return usage["total_tokens"] if usage else None
