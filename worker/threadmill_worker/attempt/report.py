"""Tells how an attempt goes: log lines, the timeline, events for followers, and an entry for an endpoint that fails."""

import logging
from collections.abc import Callable
from typing import Any

import structlog

from threadmill.job.events.event import EventKind
from threadmill.store.records.job import JobRecord
from threadmill.store.records.worker import FailingEndpoint
from threadmill_worker.attempt.context.contexts import AttemptContext
from threadmill_worker.attempt.ending import moment
from threadmill_worker.attempt.timeline import AttemptTimeline
from threadmill_worker.lifecycle.actions import Action
from threadmill_worker.lifecycle.decide import SHOWN_WAIT_S
from threadmill_worker.lifecycle.observations import Limited, Observation
from threadmill_worker.lifecycle.progress import Progress
from threadmill_worker.lifecycle.state import phase_of

log = structlog.get_logger(__name__)


class AttemptReport:
    """The report of one attempt. `log`: its log, which names the job, the attempt and the endpoint.

    `clock`: Redis' time in seconds since 1970.
    """

    def __init__(self, record: JobRecord, context: AttemptContext, clock: Callable[[], float]) -> None:
        self._context = context
        self.timeline = AttemptTimeline(record, context.spec.endpoint, clock)
        self.log = log.bind(job_id=record.id, attempt=record.attempts, endpoint=context.spec.endpoint)

    def changed(self, before: Progress, after: Progress) -> None:
        """Logs each change of the phase and of the run, notes what happened, and publishes changes of the run."""
        self.timeline.changed(before, after)
        if (phase := phase_of(after)) is not phase_of(before):
            self.log.debug("phase", phase=phase.value, **_ids(after))
        if after.run and (before.run is None or before.run.status != after.run.status):
            self.log.info("run status", status=after.run.status, **_ids(after))
            self._context.events.emit(EventKind.RUN, run_id=after.run.id, run=after.runs, status=after.run.status)
        if after.without_context != before.without_context:
            reason = "its reply does not name the response that the request continues from"
            self.log.warning("response without its context", reason=reason, run_id=after.without_context[-1])
        if after.reruns > before.reruns:
            self.log.warning("rerun", reruns=after.reruns, reason=after.rerun_reason, thread_id=after.thread_id)

    def call_failed(self, action: Action, seen: Observation, after: Progress) -> None:
        self.log.warning(
            "call failed",
            action=type(action).__name__,
            reason=getattr(seen, "reason", None) or repr(seen),
            in_a_row=after.errors.count,
            **_ids(after),
        )

    def start_limited(self, action: Action, limited: Limited, now: float) -> None:
        wait_s = limited.until - now
        level = logging.INFO if wait_s >= SHOWN_WAIT_S else logging.DEBUG
        fields = {"action": type(action).__name__, "reason": limited.reason, "wait_s": round(wait_s, 3)}
        self.log.log(level, "start limited", **fields, pool=self._context.pool.name)

    def failing_endpoint(self, progress: Progress) -> FailingEndpoint | None:
        """Returns an entry while the server returns no usable replies and the job waits for them."""
        errors = progress.errors
        if errors.first_at is None or progress.outcome is not None:
            return None
        until = None
        if errors.since is not None:
            until = moment(min(errors.since + self._context.limits.unreachable_limit_s, progress.deadline_at))
        return FailingEndpoint(
            endpoint=self._context.spec.endpoint,
            reason=errors.reason or "",
            since=moment(errors.first_at),
            until=until,
            calls=errors.count,
        )


def _ids(progress: Progress) -> dict[str, Any]:
    return {"thread_id": progress.thread_id, "run_id": progress.run and progress.run.id}
