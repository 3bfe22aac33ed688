"""The options of an emulator."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from threadmill_emulator.scripting.chat_quirks import CHAT_QUIRKS
from threadmill_emulator.scripting.faults import FaultPlan
from threadmill_emulator.scripting.limits import Limits
from threadmill_emulator.scripting.scenarios import QUIRKS
from threadmill_emulator.scripting.webhooks import WebhookPlan

#: Capabilities that some servers lack, with the prefix of their routes. One without routes refuses request bodies.
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
    "chat": "chat.",
    "background": None,
    "background_streams": None,
    "flex": None,
    "priority": None,
    "completion_windows": None,
    "batches": "batches.",
}

#: Extensions of some servers that the public servers do not have.
EXTRAS: Mapping[str, str] = {
    "idempotency_keys": "a POST with a known Idempotency-Key is answered with its first reply",
    "list_responses": "GET /responses lists the responses",
}

#: Deviations of whole servers. Deviations of single runs are in `scenarios.QUIRKS`.
SERVER_QUIRKS: Mapping[str, str] = {
    # OGX 1.5, openai_vector_store_mixin.py: a store begins with status "completed" and every count 0.
    "early_stores": "a vector store is completed from the start, and its file_counts are 0 until its files are indexed",
    "uncounted_stores": "vector stores have no file_counts, and are completed from the start",
    # vLLM has no DELETE /v1/responses/{id} (vllm/entrypoints/openai/responses/api_router.py)
    "no_delete": "DELETE is answered 405",
    "empty_stores": "a vector store is created without its files",
    # LiteLLM's bridge to chat completions (litellm/responses/litellm_completion_transformation), Ollama
    "ignores_background": "background is ignored: POST /responses is answered when the response has ended",
    "stateless": "responses are not stored: GET and DELETE answer 404",
    # Ollama (openai/responses.go), and LiteLLM without a database, where nothing is found of earlier responses
    "ignores_previous": "previous_response_id is ignored, and null in each reply",
    # Ollama ("not supported"), vLLM, whose requests may have unknown fields, LiteLLM's bridge
    "ignores_conversation": "conversation is ignored, and null in each reply",
    # vLLM (vllm/entrypoints/openai/responses/serving.py)
    "previous_404": "an unknown previous_response_id is answered 404 instead of 400",
    # OGX 1.5 (providers/inline/responses/builtin/responses/openai_responses.py) echoes it only when ended
    "late_previous": "previous_response_id is null in replies until the response has ended",
    # LiteLLM's bridge: "DELETE responses is not supported for deepseek"
    "unsupported_500": "GET, cancel and DELETE of a response are not supported, and answer 500",
    # LiteLLM encrypts the id for each reply (litellm/proxy/hooks/responses_id_security.py)
    "changing_ids": "each reply with a response gives it another id; all these ids work",
    # LiteLLM, polling_via_cache (litellm/proxy/response_polling/polling_handler.py)
    "polling_ids": "the id of a response begins with litellm_poll_",
    # LiteLLM, which decodes the id first (litellm/responses/main.py)
    "bad_ids": "an id that the server did not make is answered 400 instead of 404",
    # LiteLLM without files_settings (litellm/proxy/openai_files_endpoints/files_endpoints.py)
    "files_500": "POST /files answers 500: files are not configured",
    # open-assistant-api (app/core/runner/thread_runner.py) passes text and image_url to its model
    "ignores_image_files": "image_file parts of a message are ignored",
    # A project's setting of its tier wins (community.openai.com/t/1383373); LiteLLM's bridge drops parameters
    "ignores_tiers": "service_tier and background_options are ignored: every response is of the tier default",
    # LiteLLM 1.108, polling_via_cache: caching/redis_cache.py takes a Redis that does not reply in time for a miss
    "misses_looks": "the second request for a response is answered 404, although it exists",
    # FastAPI's HTTPException: OGX 1.5
    "detail_errors": 'refusals are {"detail": "..."} instead of {"error": {...}}',
    **CHAT_QUIRKS,
}


@dataclass(frozen=True)
class Options:
    run_s: float = 1.0  #: how long a run takes unless its scenario says otherwise
    index_s: float = 0.2  #: how long indexing a file of a vector store takes
    batch_s: float = 1.0  #: how long a batch takes
    batch_tokens: int | None = None  #: input tokens that batches of one model may have enqueued; None: any number
    latency_s: float = 0.0  #: added to every reply
    api_key: str | None = None  #: the only key accepted; None accepts any
    data_urls: bool = True  #: whether /v1 takes images as data URLs (DaVinci's path always does)
    poll_after_ms: int | None = None  #: sent as openai-poll-after-ms when a run is retrieved
    seed: int = 0  #: seed of the random choice of requests with faults
    faults: FaultPlan = field(default_factory=FaultPlan)
    limits: Limits = field(default_factory=Limits)
    webhooks: WebhookPlan = field(default_factory=WebhookPlan)
    webhook_secret: str | None = field(default=None, repr=False)  #: signs webhooks: whsec_ and base64
    without: frozenset[str] = frozenset()  #: the CAPABILITIES this server lacks
    extras: frozenset[str] = frozenset()  #: its EXTRAS and SERVER_QUIRKS, and the QUIRKS of all its runs

    @property
    def run_quirks(self) -> frozenset[str]:
        return self.extras & QUIRKS.keys()

    def offers(self, capability: str) -> bool:
        return capability not in self.without

    def serves(self, route: str) -> bool:
        return not any(start and route.startswith(start) for start in map(CAPABILITIES.__getitem__, self.without))
