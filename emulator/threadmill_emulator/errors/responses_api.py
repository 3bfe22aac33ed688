"""Errors about responses, conversations, containers and batches, with OpenAI's texts where they are known."""

from threadmill_emulator.errors.api_error import ApiError


def no_object(kind: str, id: str) -> ApiError:
    return ApiError(404, f"{kind} with id '{id}' not found.")


def no_previous_response(id: str) -> ApiError:
    message = f"Previous response with id '{id}' not found."
    return ApiError(400, message, param="previous_response_id", code="previous_response_not_found")


def unfinished_previous_response(id: str, status: str) -> ApiError:
    message = f"Previous response with id '{id}' is still '{status}'."
    return ApiError(400, message, param="previous_response_id", code="invalid_value")


def one_of_two(first: str, second: str) -> ApiError:
    message = f"Mutually exclusive parameters. Ensure you are only providing one of: '{first}' or '{second}'."
    return ApiError(400, message, code="mutually_exclusive_parameters")


def no_input() -> ApiError:
    message = "One of \"input\" or \"previous_response_id\" or 'prompt' or 'conversation_id' must be provided."
    return ApiError(400, message, param="input", code="missing_required_parameter")


def conversation_locked() -> ApiError:
    message = "Another process is currently operating on this conversation. Please retry in a few seconds."
    return ApiError(400, message, param="conversation", code="conversation_locked")


def no_call_output(call_id: str) -> ApiError:
    return ApiError(400, f"No tool output found for function call {call_id}.", param="input")


def no_call_for_output(call_id: str) -> ApiError:
    return ApiError(400, f"No tool call found for function call output with call_id {call_id}.", param="input")


def not_in_background() -> ApiError:
    return ApiError(400, "Cannot cancel a synchronous response.")


def no_background() -> ApiError:
    message = "Unsupported parameter: 'background' is not supported with this model."
    return ApiError(400, message, param="background", code="unsupported_parameter")


def no_background_streams() -> ApiError:
    return ApiError(400, "This server does not yet support 'stream' and 'background' together.")


def no_tier() -> ApiError:
    message = "Invalid service_tier argument: The requested service tier is not allowed for this project."
    return ApiError(400, message, param="service_tier")


def no_capacity() -> ApiError:
    """Returns the error if flex processing has no capacity. Nothing was started, and nothing is charged."""
    return ApiError(429, "Resource Unavailable", type="resource_unavailable", code="resource_unavailable")


def no_window(reason: str) -> ApiError:
    """Returns the error for an unmet requirement of a completion window. The specification gives no text for it."""
    message = f"Invalid 'background_options.completion_window': {reason}."
    return ApiError(400, message, param="background_options.completion_window", code="invalid_value")


def no_such_choice(kind: str) -> ApiError:
    return ApiError(400, f"Tool choice '{kind}' not found in 'tools' parameter.", param="tool_choice")


def not_streamed(id: str) -> ApiError:
    message = f"Response with id '{id}' cannot be streamed: it was not created with 'stream'."
    return ApiError(400, message, param="stream", code="invalid_value")


def no_batch(id: str) -> ApiError:
    return ApiError(404, f"No batch found with id '{id}'.")


def wrong_purpose(id: str, wanted: str) -> ApiError:
    message = f"Invalid file {id}: its purpose must be '{wanted}'."
    return ApiError(400, message, param="input_file_id", code="invalid_value")


def finished_batch(status: str) -> ApiError:
    return ApiError(400, f"Cannot cancel a batch with status '{status}'.")


def invalid_schema(whose: str, wrong: str, param: str, code: str) -> ApiError:
    return ApiError(400, f"Invalid schema for {whose}: {wrong}", param=param, code=code)


def no_word_json() -> ApiError:
    message = (
        "Response input messages must contain the word 'json' in some form to use 'text.format' of type 'json_object'."
    )
    return ApiError(400, message, param="input")
