"""Profiles of real servers: what each lacks, and what it does differently."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from threadmill_emulator.scripting.options import Options

ASSISTANTS = frozenset({"assistants", "create_and_run"})
STORES = frozenset({"files", "vector_stores", "batches"})


@dataclass(frozen=True)
class Profile:
    """A server that `--like NAME` imitates."""

    server: str  #: which server and version, and how it is set up
    without: frozenset[str]  #: the CAPABILITIES it lacks
    extras: frozenset[str] = frozenset()  #: the EXTRAS, SERVER_QUIRKS and QUIRKS it has

    def options(
        self, *, without: frozenset[str] = frozenset(), extras: frozenset[str] = frozenset(), **others: Any
    ) -> Options:
        """Returns the options of an emulator with this profile; `without` and `extras` are added to the profile's."""
        return Options(without=self.without | without, extras=self.extras | extras, **others)


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
        frozenset({"responses", "conversations", "create_and_run", "vector_stores", "batches"}),
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
}
