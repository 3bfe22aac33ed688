"""Refuses a job on a local thread that cannot be continued: only Redis has its messages."""

from threadmill.job.result import FailureKind
from threadmill.settings.endpoints.endpoint import Endpoint
from threadmill.store.records.remote import KeptThread
from threadmill_worker.attempt.context.not_served import NotServed

_REMEDY = "send the earlier messages with the job (`messages`), on a new thread"


def check_local(thread: str, kept: KeptThread | None, name: str, endpoint: Endpoint) -> None:
    """Raises NotServed unless a job at this endpoint can continue the thread.

    `kept`: its record, if there is one. Either the endpoint has Chat Completions, or the thread is local.
    """
    if kept is None:
        reason = (
            f"the messages of thread {thread} are not in Redis: it has expired (`thread_ttl_s` after its last job), "
            f"was deleted, or no job has kept it at endpoint {name!r}; {_REMEDY}"
        )
    elif (kept.kind == "local") != (endpoint.wire == "chat"):
        reason = (
            f"thread {thread} was kept while endpoint {name!r} had another `kind`: its messages are not in the form of "
            f"the API that it has now ({endpoint.wire}); set the kind back, or {_REMEDY}"
        )
    elif kept.transcript is None:
        reason = f"the messages of thread {thread} are not in Redis now: they have expired or were lost; {_REMEDY}"
    else:
        return
    raise NotServed(FailureKind.REJECTED, reason, retryable=False)
