"""A follower of a job, for tests."""

import threading
from typing import Any

from threadmill import Client, EventKind


class Follower:
    """Follows a job in its own thread, as another process would."""

    def __init__(self, client: Client, job_id: str) -> None:
        self.events: list[Any] = []
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._follow, args=(client, job_id), daemon=True)
        self._thread.start()

    def _follow(self, client: Client, job_id: str) -> None:
        try:
            for event in client.follow(job_id, timeout_s=120):
                self.events.append(event)
        except Exception as error:
            self.error = error

    def join(self) -> "Follower":
        """Waits until the job has ended and all its events have arrived."""
        self._thread.join(60)
        assert self.error is None
        assert self.events[-1].state in ("succeeded", "failed", "cancelled")
        return self

    def of(self, kind: EventKind) -> list[Any]:
        return [event for event in self.events if event.kind is kind]

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.of(EventKind.TEXT))
