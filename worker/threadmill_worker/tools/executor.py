"""Where tool calls go: to a tool of the settings, else to the platform's plugin API.

A tool never breaks its job: whatever goes wrong becomes the call's output, for the model to read.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
from pydantic import ValidationError

from threadmill.job.model import explain
from threadmill.secrets.redaction import redact
from threadmill.settings.endpoint import Endpoint
from threadmill.surrogates import replace_surrogates
from threadmill_worker.answer.json_text import TooDeep, parse
from threadmill_worker.lifecycle.observations import OutputReady, ToolCall
from threadmill_worker.retry import before_it_left
from threadmill_worker.tools.http import read_text
from threadmill_worker.tools.registry import ToolRegistry
from threadmill_worker.tools.tool import Tool, ToolFailed, ToolsAway, described


class ToolExecutor:
    """The tools of one endpoint, for all its jobs. `key`: sent to the plugin API."""

    def __init__(self, registry: ToolRegistry, endpoint: Endpoint, key: str | None) -> None:
        self._registry = registry
        self._endpoint = endpoint
        # base_url comes from the settings alone: job data never chooses where the key is sent.
        self._http = httpx.AsyncClient(
            base_url=endpoint.base_url,
            headers={"OpenAI-Beta": "assistants=v2", "Authorization": f"Bearer {key or 'none'}"},
            timeout=httpx.Timeout(endpoint.tool_timeout_s, connect=endpoint.connect_timeout_s),
            limits=httpx.Limits(max_connections=endpoint.max_connections),
        )

    async def definitions(self, tools: Sequence[str | Mapping[str, Any]] | None) -> list[dict[str, Any]] | None:
        """A job's tools as its server wants them described. Raises KeyError, ToolsAway."""
        return None if tools is None else await self._registry.definitions(tools)

    async def call(self, call: ToolCall, thread_id: str, assistant: str, time_left_s: float) -> OutputReady:
        """Returns the call's output, cut to the endpoint's limit with a marker that says so. Never raises."""
        limit_s = min(self._registry.timeout_of(call.name) or self._endpoint.tool_timeout_s, time_left_s)
        if limit_s <= 0:  # do not start it: a sync function cannot be stopped once it runs in its thread
            return OutputReady(call.id, _failed(call, "there was no time left for it"), False)
        reusable = False
        try:
            async with asyncio.timeout(limit_s):
                if (
                    self._endpoint.supports.plugins and assistant and not self._registry.owns(call.name)
                ):  # it asks for both ids
                    output, reusable = await self._plugin(call, thread_id, assistant), True
                else:
                    tool = await self._found(call.name)
                    output = await tool.call(_arguments(call))
                    reusable = not tool.repeatable
        except TimeoutError:
            output = _failed(call, f"it did not answer within {limit_s:.3g} s")
        except ValidationError as error:
            output = _failed(call, f"the arguments do not fit: {explain(error)}")
        except Exception as error:
            is_told = isinstance(error, ToolFailed | ToolsAway)
            output = _failed(call, str(error) if is_told else described(error))
        output = replace_surrogates(redact(output))
        return OutputReady(call.id, cut(output, self._endpoint.tool_output_limit_chars), reusable)

    async def _found(self, name: str) -> Tool:
        tool = await self._registry.find(name)
        if tool is None:
            known = ", ".join(self._registry.known) or "none"
            raise ToolFailed(f"there is no tool of this name; there is: {known}")
        return tool

    async def _plugin(self, call: ToolCall, thread_id: str, assistant: str) -> str:
        """DaVinci's plugin API: the body is the arguments as the model wrote them, the reply's text the output."""
        _arguments(call)
        request = self._http.build_request(
            "POST",
            "pluginapi",
            params={"tid": thread_id, "aid": assistant, "pid": call.name},
            content=call.arguments.encode(),
            headers={"Content-Type": "application/json"},
        )
        reply: httpx.Response = await before_it_left()(self._http.send, request, stream=True)
        text = await read_text(reply, self._endpoint.reply_limit_bytes)
        if not reply.is_success:
            raise ToolFailed(f"HTTP {reply.status_code} {reply.reason_phrase}: {text.strip()}")
        return text

    async def close(self) -> None:
        await self._http.aclose()


def cut(text: str, limit: int) -> str:
    """At most `limit` characters; what is cut off is said, with the original length."""
    if len(text) <= limit:
        return text
    marker = f"\n[cut: the output has {len(text)} characters]"
    return (text[: max(0, limit - len(marker))] + marker)[:limit]


def _arguments(call: ToolCall) -> dict[str, Any]:
    """The arguments as an object; raises ToolFailed, since models do write other things."""
    try:
        arguments = parse(call.arguments or "{}")
    except TooDeep as error:
        raise ToolFailed(f"the arguments cannot be used: {error}") from None
    except ValueError as error:
        raise ToolFailed(f"the arguments are not JSON ({error})") from None
    if not isinstance(arguments, dict):
        raise ToolFailed("the arguments are not a JSON object")
    return arguments


def _failed(call: ToolCall, reason: str) -> str:
    return f"The tool {call.name} failed: {reason}"
