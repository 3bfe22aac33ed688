"""Executes tool calls, with a tool of the settings or with the platform's plugin API.

A failing tool does not fail its job: the error becomes the output of the call, and the model reads it.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
from pydantic import ValidationError

from threadmill.job.model import explain
from threadmill.secrets.redaction import redact
from threadmill.settings.endpoints.endpoint import Endpoint
from threadmill.surrogates import replace_surrogates
from threadmill_worker.answer.json_text import TooDeep, parse
from threadmill_worker.lifecycle.observations import OutputReady, ToolCall
from threadmill_worker.monitoring.metrics import UNCOUNTED, Metrics
from threadmill_worker.tools.http import read_text, send
from threadmill_worker.tools.registry import ToolRegistry
from threadmill_worker.tools.tool import Tool, ToolFailed, ToolsUnavailable, described


class ToolExecutor:
    """The tools of one endpoint, for all its jobs. `key`: sent to the plugin API."""

    def __init__(
        self, registry: ToolRegistry, endpoint: Endpoint, key: str | None, metrics: Metrics = UNCOUNTED
    ) -> None:
        self._registry = registry
        self._metrics = metrics
        self._endpoint = endpoint
        # base_url comes from the settings, so a job cannot choose where the key is sent.
        self._http = httpx.AsyncClient(
            base_url=endpoint.base_url,
            headers={"OpenAI-Beta": "assistants=v2", "Authorization": f"Bearer {key or 'none'}"},
            timeout=httpx.Timeout(endpoint.tool_timeout_s, connect=endpoint.connect_timeout_s),
            limits=httpx.Limits(max_connections=endpoint.max_connections),
        )

    async def definitions(self, tools: Sequence[str | Mapping[str, Any]] | None) -> list[dict[str, Any]] | None:
        """Returns the definitions of a job's tools for its server. Raises KeyError, ToolsUnavailable."""
        return None if tools is None else await self._registry.definitions(tools)

    async def call(self, call: ToolCall, thread_id: str, assistant: str, time_left_s: float) -> OutputReady:
        """Returns the output of a call, cut to the endpoint's limit. Never raises."""
        limit_s = min(self._registry.timeout_of(call.name) or self._endpoint.tool_timeout_s, time_left_s)
        if limit_s <= 0:  # do not start it: a thread cannot be stopped
            return OutputReady(call.id, _failed(call, "there was no time left for it"), False)
        reusable, outcome = False, "failed"
        try:
            async with asyncio.timeout(limit_s):
                is_plugin = self._endpoint.supports.plugins and not self._registry.owns(call.name)
                if is_plugin and assistant:  # the plugin API needs both ids
                    output, reusable = await self._plugin(call, thread_id, assistant), True
                else:
                    tool = await self._find(call.name)
                    output = await tool.call(_arguments(call))
                    reusable = not tool.repeatable
            outcome = "ok"
        except TimeoutError:
            outcome = "timeout"
            output = _failed(call, f"it did not answer within {limit_s:.3g} s")
        except ValidationError as error:
            output = _failed(call, f"the arguments do not fit: {explain(error)}")
        except Exception as error:
            has_message = isinstance(error, ToolFailed | ToolsUnavailable)
            output = _failed(call, str(error) if has_message else described(error))
        self._metrics.tool_called(call.name, outcome)
        output = replace_surrogates(redact(output))
        return OutputReady(call.id, cut(output, self._endpoint.tool_output_limit_chars), reusable)

    async def _find(self, name: str) -> Tool:
        tool = await self._registry.find(name)
        if tool is None:
            known = ", ".join(self._registry.known) or "none"
            raise ToolFailed(f"there is no tool of this name; there is: {known}")
        return tool

    async def _plugin(self, call: ToolCall, thread_id: str, assistant: str) -> str:
        """Calls DaVinci's plugin API, with the arguments as the model wrote them. Returns the text of the reply."""
        _arguments(call)
        request = self._http.build_request(
            "POST",
            "pluginapi",
            params={"tid": thread_id, "aid": assistant, "pid": call.name},
            content=call.arguments.encode(),
            headers={"Content-Type": "application/json"},
        )
        reply = await send(self._http, request)
        text = await read_text(reply, self._endpoint.reply_limit_bytes)
        if not reply.is_success:
            raise ToolFailed(f"HTTP {reply.status_code} {reply.reason_phrase}: {text.strip()}")
        return text

    async def close(self) -> None:
        await self._http.aclose()


def cut(text: str, limit: int) -> str:
    """Cuts a text to `limit` characters; a marker at the end names the original length."""
    if len(text) <= limit:
        return text
    marker = f"\n[cut: the output has {len(text)} characters]"
    return (text[: max(0, limit - len(marker))] + marker)[:limit]


def _arguments(call: ToolCall) -> dict[str, Any]:
    """Parses the arguments. Raises ToolFailed if the model did not write a JSON object."""
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
