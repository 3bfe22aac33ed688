"""The JSON objects of the Responses API: responses, conversations, containers and their files."""

from collections.abc import Collection

from pydantic import BaseModel

from threadmill_emulator.objects.assistants import Object, seconds
from threadmill_emulator.responses.conversations import Conversation
from threadmill_emulator.responses.items import shown
from threadmill_emulator.responses.response import Response
from threadmill_emulator.runs import tiers
from threadmill_emulator.runs.settings import dumped
from threadmill_emulator.scripting.scenarios import Script
from threadmill_emulator.storage.containers import Container
from threadmill_emulator.storage.files import File

#: LiteLLM's exception for an error of its backend, by error code.
_RAISED = {"rate_limit_exceeded": "RateLimitError", "invalid_prompt": "BadRequestError"}


def response_object(response: Response, include: Collection[str] = ()) -> Object:
    asked, run, script = response.asked, response.run, response.run.script
    text = {key: value for key, value in dumped(asked.text, {}).items() if value is not None}
    error = _error(script) if response.status == "failed" else None
    whole: Object = {
        "id": response.id,
        "object": "response",
        "created_at": seconds(run.created),
        "status": response.status,
        "background": bool(asked.background),
        "completed_at": seconds(response.ended) if response.status == "completed" else None,
        "error": error,
        "incomplete_details": {"reason": script.reason} if response.status == "incomplete" else None,
        "instructions": asked.instructions,
        "max_output_tokens": asked.max_output_tokens,
        "max_tool_calls": asked.max_tool_calls,
        "model": asked.model,
        "output": [shown(item, include) for item in response.output],
        "parallel_tool_calls": asked.parallel_tool_calls is not False,
        "previous_response_id": asked.previous_response_id,
        "conversation": {"id": response.conversation.id} if response.conversation else None,
        "reasoning": {"effort": None, "summary": None} | dumped(asked.reasoning, {}),
        "service_tier": tiers.shown(asked.service_tier, script),
        "store": asked.store is not False,
        "temperature": 1.0 if asked.temperature is None else asked.temperature,
        "text": {"format": {"type": "text"}, "verbosity": "medium"} | text,
        "tool_choice": dumped(asked.tool_choice, "auto"),
        "tools": [_tool(tool) for tool in asked.tools],
        "top_p": 1.0 if asked.top_p is None else asked.top_p,
        "truncation": asked.truncation or "disabled",
        "usage": None if "no_usage" in script.quirks else _usage(response.usage),
        "user": asked.user,
        "metadata": asked.metadata or {},
    }
    if "sparse" in script.quirks:
        return {key: value for key, value in whole.items() if value not in (None, {}, "")}
    return whole


def _error(script: Script) -> Object | None:
    if script.error is None:
        return None
    code, message = script.error
    if "polling_errors" in script.quirks:
        raised = _RAISED.get(code, "InternalServerError")
        message = f"litellm.{raised}: {raised}: OpenAIException - {message}"
        return {"type": "internal_error", "message": message, "code": "background_streaming_error"}
    return {"code": code, "message": message}


def _tool(tool: BaseModel) -> Object:
    """Returns the tool with the defaults that a server adds."""
    whole = tool.model_dump(by_alias=True, exclude_unset=True)
    filled: Object = {"strict": True, "description": None} if whole["type"] == "function" else {}
    return filled | whole


def _usage(counted: dict[str, int] | None) -> Object | None:
    if counted is None:
        return None
    return {
        **counted,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    }


def conversation_object(conversation: Conversation) -> Object:
    return {
        "id": conversation.id,
        "object": "conversation",
        "created_at": seconds(conversation.created),
        "metadata": conversation.metadata,
    }


def container_file_object(container: Container, file: File) -> Object:
    return {
        "id": file.id,
        "object": "container.file",
        "container_id": container.id,
        "created_at": seconds(file.created),
        "bytes": len(file.data),
        "path": f"/mnt/data/{file.name}",
        "source": "user" if file.purpose == "user" else "assistant",
    }
