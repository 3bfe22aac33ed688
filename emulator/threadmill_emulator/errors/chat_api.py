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


def no_model(id: str) -> ApiError:
    return ApiError(404, f"The model '{id}' does not exist", param="model", code="model_not_found")
