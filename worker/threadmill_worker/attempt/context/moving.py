"""Decides whether a job that its endpoint cannot run goes to another one: the setting `fallback`."""

from threadmill.job.progress import Lost
from threadmill.job.result import Failure, FailureKind, Usage
from threadmill.settings.endpoints.run_limits import RunLimits
from threadmill.settings.settings import Settings
from threadmill.store.records.job import JobRecord
from threadmill_worker.lifecycle.progress import Outcome, Progress

#: How long a job that may go elsewhere tries to reach its server, in seconds.
UNREACHABLE_S = 15.0

#: A job that may go elsewhere does not wait longer for its server, in seconds.
LONGEST_WAIT_S = 5.0

#: Failures of an endpoint that another one need not have.
_OF_THE_ENDPOINT = frozenset({FailureKind.QUOTA, FailureKind.UNREACHABLE, FailureKind.RATE_LIMITED})


def may_go_elsewhere(settings: Settings, record: JobRecord) -> bool:
    """Whether there is another endpoint for the job, in its flow and in the settings, that it has not left yet."""
    left = {settings.endpoint_name(record.endpoint), *(move.endpoint for move in record.moves)}
    return bool((record.endpoints & settings.endpoints.keys()) - left)


def impatient(limits: RunLimits) -> RunLimits:
    """Returns the limits of a job that may go elsewhere."""
    return limits.model_copy(update={"unreachable_limit_s": min(limits.unreachable_limit_s, UNREACHABLE_S)})


def too_long(progress: Progress, until: float, now: float) -> Failure | None:
    """Returns why a job leaves its endpoint rather than wait for it until then; None if it waits.

    It waits for its place in the row of its pool, however long that takes, and if it could not move.
    """
    limit = progress.limited if progress.limited and progress.limited.until == until else None
    reason = limit.reason if limit else progress.errors.reason
    has_begun = progress.run is not None or progress.intent is not None or progress.outcome is not None
    is_in_row = limit is not None and limit.in_row
    if has_begun or is_in_row or not _is_unpaid(progress) or reason is None or until - now <= LONGEST_WAIT_S:
        return None
    return Failure(kind=FailureKind.RATE_LIMITED, message=reason, retryable=True)


def reason_to_move(progress: Progress, outcome: Outcome) -> str | None:
    """Returns why the job goes elsewhere instead of ending so; None if it ends."""
    if outcome.failure is None or outcome.failure.kind not in _OF_THE_ENDPOINT:
        return None
    return outcome.failure.message if _is_unpaid(progress) else None


def _is_unpaid(progress: Progress) -> bool:
    """Whether the job has cost nothing yet: what was paid for is not repeated elsewhere."""
    return progress.cost.usage == Usage() and progress.lost == Lost()
