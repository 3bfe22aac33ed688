"""A job that must wait for a limit of its server. It spends no rerun, no call error and no HTTP call. PURE."""

from threadmill.job.progress import Limit
from threadmill.job.result import Failure
from threadmill_worker.lifecycle.progress import REASON_CHARACTERS, Progress
from threadmill_worker.lifecycle.replace import replace
from threadmill_worker.lifecycle.server_errors import asked_delay_s

#: The wait before another run after a rate limit that names no delay, in seconds; it doubles with each such run.
RUN_LIMITED_FIRST_S = 5.0

#: The longest wait before another run, unless the server asks for more: most limits count per minute.
RUN_LIMITED_LONGEST_S = 60.0


def wait_for_limit(progress: Progress, reason: str, until: float, now: float, *, in_row: bool = False) -> Progress:
    """Returns the progress of a job that asks again at `until`. The wait is counted as a whole."""
    limit = Limit(reason[:REASON_CHARACTERS], until, in_row)
    return replace(progress, limited=limit, limited_s=progress.limited_s + max(0.0, until - now), wait_until=until)


def stop_waiting(progress: Progress, now: float) -> Progress:
    """Returns the progress of a job that ends now or asks at once: the rest of its wait for a limit does not count."""
    limit = progress.limited
    if limit is None or limit.until <= now:
        return progress
    return replace(
        progress,
        limited=replace(limit, until=now),
        limited_s=progress.limited_s - (limit.until - now),
        wait_until=0.0 if progress.wait_until == limit.until else progress.wait_until,
    )


def run_limited(progress: Progress, failure: Failure, now: float) -> Progress:
    """Drops a run that a rate limit ended: another is started after the delay that the failure's message asks for."""
    asked_s = asked_delay_s(failure.message)
    backoff_s = min(RUN_LIMITED_LONGEST_S, RUN_LIMITED_FIRST_S * 2**progress.limited_runs)
    wait_s = backoff_s if asked_s is None else max(asked_s, backoff_s if progress.limited_runs else 0.0)
    progress = replace(progress, run=None, intent=None, pending=None, limited_runs=progress.limited_runs + 1)
    reason = f"a run failed with {failure.code or failure.kind}: {failure.message}"
    return wait_for_limit(progress, reason, now + wait_s, now)
