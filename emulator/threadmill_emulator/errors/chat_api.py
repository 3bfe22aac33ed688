"""Errors about chat completions, with OpenAI's texts where they are known."""

from collections.abc import Iterable

from threadmill_emulator.errors.api_error import ApiError


def no_calls_before(number: int) -> ApiError:
    message = (
        "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'."
    )
    return ApiError(400, message, param=f"messages.[{number}].role")


def not_called(number: int, call_id: str) -> ApiError:
    message = f"Invalid parameter: 'tool_call_id' of '{call_id}' not found in 'tool_calls' of previous message."
    return ApiError(400, message, param=f"messages.[{number}].tool_call_id")


def unanswered_calls(number: int, call_ids: Iterable[str]) -> ApiError:
    message = (
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
        f"The following tool_call_ids did not have response messages: {', '.join(call_ids)}"
    )
    return ApiError(400, message, param=f"messages.[{number}].role")


def no_content(number: int) -> ApiError:
    message = "Invalid value for 'content': expected a string, got null."
    return ApiError(400, message, param=f"messages.[{number}].content")


def only_with_tools(param: str) -> ApiError:
    message = f"Invalid value for '{param}': '{param}' is only allowed when 'tools' are specified."
    return ApiError(400, message, param=param)


def no_such_function(name: str) -> ApiError:
    message = f"Invalid value for 'tool_choice': no function named '{name}' was specified in the 'tools' parameter."
    return ApiError(400, message, param="tool_choice")


def only_with_stream() -> ApiError:
    message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
    return ApiError(400, message, param="stream_options")


def two_limits() -> ApiError:
    message = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
    return ApiError(400, message, param="max_tokens", code="invalid_parameter_combination")


def no_max_tokens() -> ApiError:
    message = (
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
    )
    return ApiError(400, message, param="max_tokens", code="unsupported_parameter")


def unsupported(param: str) -> ApiError:
    message = f"Unsupported parameter: '{param}' is not supported with this model."
    return ApiError(400, message, param=param, code="unsupported_parameter")


def one_choice_only(n: int) -> ApiError:
    message = f"Unsupported value: 'n' does not support {n} with this model. Only the default (1) value is supported."
    return ApiError(400, message, param="n", code="unsupported_value")


def no_word_json() -> ApiError:
    message = "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'."
    return ApiError(400, message, param="messages")


def server_busy() -> ApiError:
    """Returns Ollama's error when too many requests wait (server/sched.go, ErrMaxQueue)."""
    message = "server busy, please try again.  maximum pending requests exceeded"
    return ApiError(503, message, type="api_error")


def unknown_name(name: str) -> ApiError:
    """Returns Gemini's error for a field that it does not know."""
    return ApiError(400, f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.')


def no_signature() -> ApiError:
    """Returns Gemini's error for a call that is sent again without its signature."""
    message = (
        "Function call is missing a thought_signature in functionCall parts. This is required for tools to work "
        "correctly, and missing thought_signature may lead to degraded model performance."
    )
    return ApiError(400, message)


def no_image_url() -> ApiError:
    """Returns Ollama's error for an image that is no data URL."""
    return ApiError(400, "invalid image input")


def no_images() -> ApiError:
    """Returns llama.cpp's error for an image if its model reads text alone."""
    hint = "hint: if this is unexpected, you may need to provide the mmproj"
    return ApiError(500, f"image input is not supported - {hint}", type="server_error")


def loading() -> ApiError:
    """Returns llama.cpp's error while it loads its model."""
    return ApiError(503, "Loading model", type="unavailable_error")


def no_auto_tools() -> ApiError:
    """Returns vLLM's error for tools if it was started without a parser for them."""
    return ApiError(400, '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set')


def no_model(id: str) -> ApiError:
    return ApiError(404, f"The model '{id}' does not exist", param="model", code="model_not_found")
