"""What servers do differently with Chat Completions. Each comment names the file or the thread that shows it."""

from collections.abc import Mapping

#: Quirk -> the fields of a request that a server with it ignores.
IGNORED: Mapping[str, tuple[str, ...]] = {
    "ignores_tool_choice": ("tool_choice", "parallel_tool_calls"),
    "ignores_max_completion_tokens": ("max_completion_tokens",),
    "ignores_response_format": ("response_format",),
    "ignores_tiers": ("service_tier",),
}

#: Quirk -> the field of a message that has the reasoning. OpenAI shows none.
REASONING: Mapping[str, str] = {"reasoning_content": "reasoning_content", "reasoning_field": "reasoning"}

#: Fields that a server with `refuses_unknown_names` does not know.
UNKNOWN_NAMES = frozenset({"frequency_penalty", "logit_bias", "metadata", "seed", "store"})

CHAT_QUIRKS: Mapping[str, str] = {
    # vllm/entrypoints/openai/engine/protocol.py, ErrorInfo
    "vllm_errors": "an error has the HTTP status as its code; unknown routes answer as FastAPI does",
    # llama.cpp: tools/server/server-common.cpp, format_error_response; server-http.cpp, "File Not Found"
    "llama_errors": "an error has the HTTP status as its code, and no param",
    # ollama: openai/openai.go, NewError
    "ollama_errors": "an error has neither code nor param; unknown routes answer in plain text",
    # github.com/ed-donner/agents/issues/45: Error code: 400 - [{'error': {'code': 400, ..., 'status': ...}}]
    "google_errors": "an error is a list of one object, with Google's status",
    # vllm/entrypoints/openai/engine/protocol.py, OpenAIBaseModel; llama.cpp and Ollama read the fields they know
    "ignores_unknown_fields": "unknown fields of a chat completion's request are ignored",
    # The messages are rendered by the model's template, in whatever order they are: vLLM, llama.cpp, Ollama
    "unchecked_requests": "the order of messages, strict schemas and fields that need others are not checked",
    # ollama: openai/openai.go, ChatCompletionRequest has no such fields
    "ignores_tool_choice": "tool_choice and parallel_tool_calls of a chat completion are ignored",
    "ignores_max_completion_tokens": "max_completion_tokens is ignored; max_tokens is not",
    # platform.claude.com/docs/en/api/openai-sdk, table of request fields
    "ignores_response_format": "response_format of a chat completion is ignored: the answer is prose",
    # ed-donner/agents/issues/45 (metadata, store); discuss.ai.google.dev/t/95991 (seed);
    # MinLL/SkyrimNet-GamePlugin/issues/77 (frequency_penalty)
    "refuses_unknown_names": f"these fields are refused with 400: {', '.join(sorted(UNKNOWN_NAMES))}",
    # meilisearch/meilisearch/pull/5712 (index null, id empty); open-webui/computer/issues/224 (no index, reason stop)
    "google_calls": "in streams, calls of one reply come together, with empty ids, no index, and the reason stop",
    # open-webui/computer/issues/224: extra_content.google.thought_signature
    "thought_signatures": "the first call of a message has extra_content, without which it must not be sent again",
    # ollama: openai/openai.go, ToChunk
    "whole_calls": "in streams, each call comes in one piece",
    "roles_in_chunks": "every delta has a role and a content",
    "empty_content": "the content of a message with calls is an empty string instead of null",
    # ollama: middleware/openai.go, fmt.Sprintf("chatcmpl-%d", rand.Intn(999))
    "repeated_ids": "ids of chat completions repeat: one of three, where Ollama has 999",
    # ollama: openai/openai.go, ChatCompletion and Usage; Anthropic's table of response fields
    "bare_completions": "a chat completion has no tier, fingerprint, refusal, annotations, and no details of its usage",
    # llama.cpp: tools/server/README.md, --reasoning-format deepseek
    "reasoning_content": "a message shows its reasoning as reasoning_content",
    # vllm/entrypoints/openai/chat_completion/protocol.py, ChatMessage; ollama: openai/openai.go, Message
    "reasoning_field": "a message shows its reasoning as reasoning",
    # A vLLM without --reasoning-parser, llama.cpp with --reasoning-format none
    "think_tags": "the content begins with the reasoning in <think> tags",
    "cuts_answers": "an answer longer than the limit of its request is cut off, with the reason length",
    # ollama: openai/openai.go, FromChatRequest
    "no_image_urls": "images are taken as data URLs only",
    # llama.cpp without --mmproj: tools/server/server-common.cpp, oaicompat_chat_params_parse
    "no_images": "images are refused with 500",
    # llama.cpp: tools/server/server-http.cpp, middleware_server_state
    "loading_503": "the first request for a chat completion is refused with 503: the model is loaded",
    # vllm/entrypoints/openai/chat_completion/serving.py, without --enable-auto-tool-choice
    "no_auto_tools": "tools are refused with 400 unless tool_choice forces a call",
}
