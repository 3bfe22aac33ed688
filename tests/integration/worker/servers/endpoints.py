"""The endpoints of the servers that the emulator has profiles of."""

from typing import Any

KEY = {"KEY_OF_THE_SERVER": "sk-of-the-server"}
RESPONSES = {"kind": "responses", "api_key_env": "KEY_OF_THE_SERVER", "model": "emulator-1"}
CHAT = {"kind": "chat", "api_key_env": "KEY_OF_THE_SERVER", "model": "emulator-1", "unreachable_limit_s": 2}
ASSISTANTS = {"kind": "assistants", "api_key_env": "KEY_OF_THE_SERVER", "assistant": "asst_emulator"}

#: The settings of each server's endpoint, as a user would write them.
ENDPOINTS: dict[str, dict[str, Any]] = {
    "litellm-bridge": RESPONSES | {"unreachable_limit_s": 2},
    "litellm-polling": RESPONSES | {"unreachable_limit_s": 2},
    "ogx": RESPONSES | {"supports": {"list_responses": True}},
    "vllm": RESPONSES,
    "ollama": RESPONSES,
    "open-assistant-api": ASSISTANTS | {"supports": {"data_urls": True}},
    "vllm-chat": CHAT,
    "llama.cpp": CHAT,
    "ollama-chat": CHAT | {"supports": {"max_completion_tokens": False}},
    "gemini": CHAT,
    "anthropic": CHAT | {"supports": {"json_schema": False}},
}

#: Those with Chat Completions alone.
CHAT_SERVERS = [name for name, fields in ENDPOINTS.items() if fields["kind"] == "chat"]


def beat() -> str:
    """The tool of the endpoints."""
    return "beaten"
