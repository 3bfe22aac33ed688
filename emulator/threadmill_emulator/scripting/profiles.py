"""Profiles of real servers: what each lacks, and what it does differently."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from threadmill_emulator.scripting.limits import Limits
from threadmill_emulator.scripting.options import Options

ASSISTANTS = frozenset({"assistants", "create_and_run"})
STORES = frozenset({"files", "vector_stores", "batches"})
CHAT_ONLY = ASSISTANTS | STORES | {"responses", "conversations"}


@dataclass(frozen=True)
class Profile:
    """A server that `--like NAME` imitates."""

    server: str  #: which server and version, and how it is set up
    without: frozenset[str]  #: the CAPABILITIES it lacks
    extras: frozenset[str] = frozenset()  #: the EXTRAS, SERVER_QUIRKS and QUIRKS it has
    slots: int | None = None  #: chat completions at work, unless the limits name another number
    queue: int | None = None  #: how many may wait for a slot

    def options(
        self,
        *,
        without: frozenset[str] = frozenset(),
        extras: frozenset[str] = frozenset(),
        limits: Limits | None = None,
        **others: Any,
    ) -> Options:
        """Returns the options of an emulator with this profile; `without` and `extras` are added to the profile's."""
        limits = limits or Limits()
        if limits.slots is None:
            limits = limits.model_copy(update={"slots": self.slots, "queue": self.queue})
        return Options(without=self.without | without, extras=self.extras | extras, limits=limits, **others)


#: The emulator without `--like`.
NO_PROFILE = Profile("", frozenset())

#: Taken from the source code and the replies of each server. The entries of its quirks name the files.
PROFILES: Mapping[str, Profile] = {
    # litellm/responses/litellm_completion_transformation
    "litellm-bridge": Profile(
        "LiteLLM 1.108 in front of a chat model, without a database",
        ASSISTANTS | STORES - {"files"} | {"conversations"},
        frozenset(
            {
                "bad_ids",
                "files_500",
                "ignores_background",
                "ignores_conversation",
                "ignores_previous",
                "ignores_tiers",
                "stateless",
                "unsupported_500",
            }
        ),
    ),
    # litellm/proxy/response_polling: a request with `background` is answered with JSON, `stream` or not
    "litellm-polling": Profile(
        "the same with polling_via_cache and Redis",
        ASSISTANTS | STORES - {"files"} | {"conversations"},
        frozenset(
            {
                "files_500",
                "ignores_conversation",
                "ignores_previous",
                "ignores_tiers",
                "polling_errors",
                "polling_ids",
                "stream_json",
            }
        ),
    ),
    # ogx_api/responses/fastapi_routes.py, ogx/providers/inline/responses/builtin; its batches are of chat completions
    "ogx": Profile(
        "OGX 1.5, formerly Llama Stack",
        ASSISTANTS | {"background_streams", "batches"},
        frozenset({"list_responses", "late_previous", "early_stores", "detail_errors"}),
    ),
    # vllm/entrypoints/openai/responses/serving.py
    "vllm": Profile(
        "vLLM without VLLM_ENABLE_RESPONSES_API_STORE",
        ASSISTANTS | STORES | {"conversations", "background"},
        frozenset({"ignores_conversation", "no_delete", "previous_404", "stateless"}),
    ),
    # openai/responses.go, server/routes.go
    "ollama": Profile(
        "Ollama 0.13.3 and later",
        ASSISTANTS | STORES | {"conversations"},
        frozenset({"ignores_background", "ignores_conversation", "ignores_previous", "ignores_tiers", "stateless"}),
    ),
    # app/api/v1, app/services/run/run.py
    "open-assistant-api": Profile(
        "open-assistant-api, revision bcdfb9b",
        frozenset({"responses", "conversations", "chat", "create_and_run", "vector_stores", "batches"}),
        frozenset(
            {
                "empty_required_action",
                "float_times",
                "ignores_image_files",
                "ignores_json_schema",
                "late_submit_404",
                "no_expires_at",
                "no_lock",
                "refuses_cancel",
                "single_outputs",
                "stream_late_completed",
            }
        ),
    ),
    # vllm/entrypoints/openai; --max-num-seqs is 256, and requests beyond it wait
    "vllm-chat": Profile(
        "vLLM, its chat completions alone",
        CHAT_ONLY,
        frozenset(
            {
                "cuts_answers",
                "ignores_tiers",
                "ignores_unknown_fields",
                "reasoning_field",
                "unchecked_requests",
                "vllm_errors",
            }
        ),
        slots=256,
    ),
    # tools/server; --parallel is 4 unless it is set, and requests beyond it wait
    "llama.cpp": Profile(
        "llama-server of llama.cpp with a text model",
        CHAT_ONLY,
        frozenset(
            {
                "bare_completions",
                "cuts_answers",
                "ignores_tiers",
                "ignores_unknown_fields",
                "llama_errors",
                "no_images",
                "reasoning_content",
                "unchecked_requests",
            }
        ),
        slots=4,
    ),
    # openai/openai.go, middleware/openai.go; envconfig/config.go: OLLAMA_NUM_PARALLEL, OLLAMA_MAX_QUEUE
    "ollama-chat": Profile(
        "Ollama, its chat completions alone",
        CHAT_ONLY,
        frozenset(
            {
                "bare_completions",
                "cuts_answers",
                "empty_content",
                "ignores_max_completion_tokens",
                "ignores_tiers",
                "ignores_tool_choice",
                "ignores_unknown_fields",
                "no_image_urls",
                "ollama_errors",
                "reasoning_field",
                "repeated_ids",
                "roles_in_chunks",
                "unchecked_requests",
                "whole_calls",
            }
        ),
        slots=1,
        queue=512,
    ),
    # ai.google.dev/gemini-api/docs/openai
    "gemini": Profile(
        "Gemini's endpoint for OpenAI's SDKs",
        CHAT_ONLY,
        frozenset(
            {
                "bare_completions",
                "cuts_answers",
                "google_calls",
                "google_errors",
                "ignores_tiers",
                "refuses_unknown_names",
                "thought_signatures",
                "unchecked_requests",
            }
        ),
    ),
    # platform.claude.com/docs/en/api/openai-sdk
    "anthropic": Profile(
        "Anthropic's endpoint for OpenAI's SDKs",
        CHAT_ONLY,
        frozenset(
            {
                "bare_completions",
                "cuts_answers",
                "ignores_response_format",
                "ignores_tiers",
                "ignores_unknown_fields",
                "unchecked_requests",
            }
        ),
    ),
}
