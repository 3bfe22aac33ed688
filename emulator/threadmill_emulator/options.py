"""What the emulator is started with."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from threadmill_emulator.faults import FaultPlan

#: What other servers lack, and how the routes of each begin; those without routes are bodies that are refused.
CAPABILITIES: Mapping[str, str | tuple[str, ...] | None] = {
    "vector_stores": "vector_stores.",
    "create_and_run": "threads.create_and_run",
    "files": "files.",
    "cancel": "runs.cancel",
    "streaming": None,
    "empty_threads": None,
    "assistants": ("assistants.", "threads.", "messages.", "runs.", "steps."),
    "responses": "responses.",
    "conversations": "conversations.",
    "background": None,
    "batches": "batches.",
}

#: What some servers have, and the public ones lack.
EXTRAS: Mapping[str, str] = {
    "idempotency_keys": "a POST with a known Idempotency-Key is answered with its first reply",
    "list_responses": "GET /responses lists the responses",
    # LiteLLM 1.106, which decodes the id first
    "bad_ids": "an unknown response is answered 400 instead of 404",
    # FastAPI's HTTPException: OGX 1.5, open-assistant-api
    "detail_errors": 'refusals are {"detail": "..."} instead of {"error": {...}}',
}


@dataclass(frozen=True)
class Options:
    run_s: float = 1.0  #: how long a run takes unless its scenario says otherwise
    index_s: float = 0.2  #: how long a file put into a vector store is being indexed
    batch_s: float = 1.0  #: how long a batch takes
    batch_tokens: int | None = None  #: input tokens that batches of one model may have enqueued; None: any number
    latency_s: float = 0.0  #: added to every answer
    api_key: str | None = None  #: the only key accepted; None accepts any
    data_urls: bool = True  #: whether /v1 takes images as data URLs (DaVinci's path always does)
    poll_after_ms: int | None = None  #: sent as openai-poll-after-ms when a run is looked at
    seed: int = 0  #: of the dice that decide which requests are hit by a fault
    faults: FaultPlan = field(default_factory=FaultPlan)
    without: frozenset[str] = frozenset()  #: the CAPABILITIES this server lacks
    extras: frozenset[str] = frozenset()  #: the EXTRAS this server has

    def offers(self, capability: str) -> bool:
        return capability not in self.without

    def serves(self, route: str) -> bool:
        return not any(start and route.startswith(start) for start in map(CAPABILITIES.__getitem__, self.without))
