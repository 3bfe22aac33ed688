"""Tools in the settings: Python functions and HTTP requests in [tools], servers that bring their own in [mcp]."""

import re
from collections.abc import Container
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, JsonValue, PositiveFloat, PositiveInt, StringConstraints, model_validator

from threadmill.job.model import InputModel

#: What stands between the name of an MCP server and that of one of its tools: `files__read`.
SEPARATOR = "__"

#: `{city}` in a URL.
PLACEHOLDER = re.compile(r"\{(\w+)\}")

#: Headers that hold secrets, and so are no business of a settings file.
_SECRET_HEADERS = {"authorization", "proxy-authorization", "cookie"}

ToolName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
ServerName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9-]+(_[a-zA-Z0-9-]+)*$", max_length=40)]
Variable = Annotated[str, StringConstraints(pattern=r"^\w+$")]
HeaderName = Annotated[str, StringConstraints(pattern=r"^[\w-]+$")]
HeaderValue = Annotated[str, StringConstraints(pattern=r"^[ -~]*$")]
Host = Annotated[str, StringConstraints(pattern=r"^([\w.-]+|\[[0-9a-fA-F:.]+\])(:\d+)?$", to_lower=True)]
Url = Annotated[str, StringConstraints(pattern=r"^https?://[^\s#/?][^\s#]*$")]


class _Called(InputModel):
    """What all tools have in common."""

    timeout_s: PositiveFloat | None = None  #: default: the endpoint's `tool_timeout_s`
    repeatable: bool = False  #: call it again in a rerun, though an earlier run of the job has its output
    concurrency: PositiveInt | None = None  #: calls at a time, in one worker process; default: any number


class FunctionSettings(_Called):
    """A Python function the model may call: `weather = "package.module:function"`."""

    function: Annotated[str, StringConstraints(pattern=r"^[\w.]+:[\w.]+$")]
    isolate: bool = False  #: run each call in a child process, which is killed when its time is up
    memory_limit_mb: PositiveInt | None = None  #: of that process; default: 1024

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.memory_limit_mb is not None and not self.isolate:
            raise ValueError("`memory_limit_mb` needs a process of the tool's own: set isolate = true")
        return self


class HttpSettings(_Called):
    """An HTTP request the model may have made. `{name}` in the URL stands for an argument."""

    url: Url
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    description: str = ""
    parameters: dict[str, JsonValue]  #: JSON Schema of the arguments, an object
    headers: dict[HeaderName, HeaderValue] = Field(default={})
    headers_env: dict[HeaderName, Variable] = Field(default={})  #: header -> variable that holds its value
    hosts: tuple[Host, ...] = ()  #: `host` or `host:port`; where requests may go. Default: the URL's own
    reply_limit: PositiveInt = 1_000_000  #: bytes; no more of a reply is read

    @property
    def allowed(self) -> tuple[str, ...]:
        return self.hosts or (urlsplit(self.url).netloc.lower(),)

    @model_validator(mode="after")
    def _sound(self) -> Self:
        place = urlsplit(self.url).netloc
        if "@" in place:
            raise ValueError("`url` holds a user or password; name a variable in headers_env for it")
        if "{" in place and not self.hosts:
            raise ValueError("the host in `url` has a placeholder, so `hosts` must list where requests may go")
        if re.search(r"[{}]", PLACEHOLDER.sub("", self.url)):
            raise ValueError("`url` has a brace that belongs to no {placeholder}; write it as %7B or %7D")
        if self.parameters.get("type") != "object":
            raise ValueError('`parameters` is the JSON Schema of an object: set type = "object"')
        required = self.parameters.get("required")
        for name in PLACEHOLDER.findall(self.url):
            if not isinstance(required, list) or name not in required:
                raise ValueError(f"`url` needs {{{name}}}: list it under `required` in `parameters`")
        _refuse_secrets(self.headers)
        return self


class McpSettings(_Called):
    """A server that speaks the Model Context Protocol, started by a command or reached by a URL."""

    command: Annotated[tuple[str, ...], Field(min_length=1)] | None = None  #: spoken to over stdin and stdout
    env: tuple[Variable, ...] = ()  #: variables of the worker that the command gets, besides PATH, HOME and the like
    url: Url | None = None  #: spoken to over streamable HTTP
    headers: dict[HeaderName, HeaderValue] = Field(default={})
    headers_env: dict[HeaderName, Variable] = Field(default={})
    tools: tuple[str, ...] | None = None  #: those to offer, by the server's names; default: all it has

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if (self.command is None) == (self.url is None):
            raise ValueError("give either `command` or `url`")
        if self.command is None and self.env:
            raise ValueError("`env` goes with `command`; a server behind a URL has its own environment")
        if self.url is None and (self.headers or self.headers_env):
            raise ValueError("`headers` and `headers_env` go with `url`; give a command variables with `env`")
        _refuse_secrets(self.headers)
        return self


def _refuse_secrets(headers: dict[str, str]) -> None:
    for name in headers:
        if name.lower() in _SECRET_HEADERS:
            raise ValueError(f"`headers.{name}` would be a secret in a file; name its variable in headers_env")


def _of_its_kind(value: Any) -> Any:
    """A bare string is a function; a table with a `url` is HTTP. Errors are those of the kind alone."""
    if isinstance(value, str):
        value = {"function": value}
    if not isinstance(value, dict):
        return value
    return HttpSettings.model_validate(value) if "url" in value else FunctionSettings.model_validate(value)


#: One of [tools].
ToolSettings = Annotated[FunctionSettings | HttpSettings, BeforeValidator(_of_its_kind)]


def server_of(name: str, servers: Container[str]) -> str | None:
    """The MCP server that a name means all tools of (`files`), or one (`files__read`); None: it means neither."""
    server = name.partition(SEPARATOR)[0]
    return server if server in servers else None
