"""Whether a worker is alive and ready, from what is known of it. PURE."""

import json
from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True)
class Facts:
    """What a worker process knows of itself now."""

    worker: str
    loop_silent_s: float  #: since the event loop last turned
    redis_silent_s: float  #: since a heartbeat last reached Redis
    is_consuming: bool | None  #: whether Celery's consumer takes messages; None: not known
    consumer_silent_s: float  #: for how long it has taken none although it could
    endpoints: Collection[str]  #: those whose key is set, or that need none
    is_stopping: bool = False


def why_not_alive(facts: Facts, limit_s: float) -> list[str]:
    """Returns why only a new process can help; nothing if the worker is alive. `limit_s`: the longest silence."""
    reasons = []
    if facts.loop_silent_s > limit_s:
        reasons.append(f"the event loop has been blocked for {facts.loop_silent_s:.0f} s")
    if facts.is_consuming is False:
        reasons.append(f"deaf: Celery's consumer has taken no messages for {facts.consumer_silent_s:.0f} s")
    return reasons


def why_not_ready(facts: Facts, limit_s: float) -> list[str]:
    """Returns why the worker runs no jobs now; nothing if it does."""
    reasons = why_not_alive(facts, limit_s)
    if facts.is_stopping:
        reasons.append("the worker is stopping")
    if facts.redis_silent_s > limit_s:
        reasons.append(f"Redis has been unavailable for {facts.redis_silent_s:.0f} s")
    if not facts.endpoints:
        reasons.append("no endpoint has its key: set the variable in its `api_key_env`")
    return reasons


def body(worker: str, reasons: Collection[str]) -> bytes:
    """Returns the JSON body of a reply to a probe."""
    return json.dumps({"status": "failing" if reasons else "ok", "worker": worker, "reasons": list(reasons)}).encode()
