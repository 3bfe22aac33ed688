"""The tools of a request as the tools of a job. PURE.

Functions run in the workers, so a request can only name those in the settings' [tools] and [mcp]. Tools of the server
are passed on to an endpoint of the Responses API as they are.
"""

from collections.abc import Sequence
from typing import Any

from threadmill.errors import InvalidJob
from threadmill.job.message import BUILT_IN
from threadmill.settings.endpoints.endpoint import Endpoint
from threadmill.settings.settings import Settings
from threadmill_gateway.openai.errors import ApiError, unsupported
from threadmill_gateway.openai.fields import Fields

#: Tools of servers with the Responses API whose use needs nothing of the client.
_HOSTED = ("file_search", "code_interpreter", "web_search", "web_search_preview")

Tool = str | dict[str, Any]


def read_tools(tools: Sequence[Fields] | None, settings: Settings, endpoint: Endpoint) -> tuple[Tool, ...] | None:
    """Returns the tools of a request to an endpoint; None: it names none, so the assistant's own stay."""
    return None if tools is None else tuple(_tool(tool, settings, endpoint) for tool in tools)


def _tool(tool: Fields, settings: Settings, endpoint: Endpoint) -> Tool:
    kind = tool.required_text("type")
    if kind == "function":
        return _function(tool, settings)
    if kind in _HOSTED and endpoint.wire == "responses":
        return {"type": kind, **tool.rest()}
    if kind in BUILT_IN and endpoint.supports.files:
        tool.only("container", {"type": "auto"})
        tool.end()
        return kind
    raise unsupported(
        tool.path("type"), f"is {kind!r:.100}, which the endpoint of this model does not have: leave it out."
    )


def _function(tool: Fields, settings: Settings) -> str:
    """Returns the name of a function that the workers run. Chat completions have its fields under `function`."""
    function = tool.object("function") or tool
    name = function.required_text("name")
    try:
        settings.check_tool(name)
    except InvalidJob:
        raise _not_ours(function, name, settings) from None
    # The workers know the description and the parameters; a definition of the client's own would not be used.
    for field in ("description", "parameters"):
        function.only(field, {}, "", remedy=f"the workers' own definition of {name!r} is used; leave it out")
    function.only("strict", True, False)
    function.end()
    tool.end()
    return name


def _not_ours(function: Fields, name: str, settings: Settings) -> ApiError:
    known = ", ".join([*sorted(settings.tools), *sorted(settings.mcp)]) or "none is configured"
    return unsupported(
        function.path("name"),
        f"is {name!r:.100}: functions run in the workers, and they have no such function (known: {known}). "
        "Functions that the client runs are not supported.",
    )


def read_choice(value: Any, path: str) -> str | dict[str, Any] | None:
    """Returns the `tool_choice` of a job."""
    if value is None or isinstance(value, str):
        return _word(value, path)
    choice = Fields(value, path)
    kind = choice.required_text("type")
    if kind == "function":
        function = choice.object("function") or choice
        chosen: dict[str, Any] = {"type": kind, "function": {"name": function.required_text("name")}}
        function.end()
    elif kind in _HOSTED:
        chosen = {"type": kind}
    else:
        raise unsupported(choice.path("type"), f"is {kind!r:.100}: name a function or a tool of the server.")
    choice.end()
    return chosen


def _word(value: str | None, path: str) -> str | None:
    if value not in (None, "auto", "none", "required"):
        raise unsupported(path, f"is {value!r:.100}: use auto, none, required, or name a tool.")
    return value


def tool_objects(tools: Sequence[Any] | None) -> list[dict[str, Any]]:
    """Returns the tools of a job as a response shows them."""
    return [_shown(tool) for tool in tools or ()]


def choice_object(choice: Any) -> Any:
    """Returns the `tool_choice` of a job as a response shows it."""
    return flat(choice, "function") if isinstance(choice, dict) else choice or "auto"


def _shown(tool: Any) -> dict[str, Any]:
    match tool:
        case "code_interpreter":
            return {"type": tool, "container": {"type": "auto"}}
        case "file_search":
            return {"type": tool, "vector_store_ids": []}
        case str():
            return {"type": "function", "name": tool, "parameters": None, "strict": None}
        case _:
            return flat(tool, "function")


def flat(value: dict[str, Any], name: str) -> dict[str, Any]:
    """Returns `{"type": T, NAME: {...}}` of chat completions as `{"type": T, ...}` of responses."""
    inner = value.get(name)
    return {"type": value["type"], **inner} if isinstance(inner, dict) else dict(value)
