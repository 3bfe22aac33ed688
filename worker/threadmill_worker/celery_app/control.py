"""Celery's remote control: `revoke` cancels jobs, as `threadmill jobs cancel` does.

Celery's own `revoke` would store a result without ending the job, and cannot terminate anything in a pool of threads.
"""

from collections.abc import Callable, Collection
from typing import Any

from celery.utils.functional import maybe_list
from celery.worker.control import Panel

#: Cancels jobs by id, without waiting for the cancellation. The flag says whether running jobs are cancelled too.
Cancel = Callable[[Collection[str], bool], None]


def cancel_by(cancel: Cancel) -> None:
    """Makes `revoke` and `terminate` of this process call `cancel`."""

    def reply(task_id: Any, running: bool) -> dict[str, str]:
        job_ids = set(maybe_list(task_id) or [])
        cancel(job_ids, running)
        return {"ok": f"cancelling {', '.join(sorted(job_ids))}"}

    @Panel.register(name="revoke", type="control", variadic="task_id", signature="[id1 [id2 [... [idN]]]]")  # type: ignore[untyped-decorator]
    def revoke(state: Any, task_id: Any, terminate: bool = False, **_: Any) -> dict[str, str]:
        """Cancel jobs that are queued; with `terminate` also those that run."""
        return reply(task_id, terminate)

    @Panel.register(
        name="terminate",
        type="control",
        variadic="task_id",
        args=[("signal", str)],
        signature="<signal> [id1 [id2 [... [idN]]]]",
    )  # type: ignore[untyped-decorator]
    def terminate(state: Any, task_id: Any, **_: Any) -> dict[str, str]:
        """Cancel jobs, queued or running; the signal makes no difference."""
        return reply(task_id, True)
