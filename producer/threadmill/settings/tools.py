"""The settings of tools: Python functions and HTTP requests in [tools], MCP servers in [mcp]."""

import re
from collections.abc import Container
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, JsonValue, PositiveFloat, PositiveInt, StringConstraints, model_validator

from threadmill.job.model import InputModel
from threadmill.settings.credentials import Variable

#: Separates the name of an MCP server from the name of its tool: `files__read`.
SEPARATOR = "__"

#: A placeholder in a URL, such as `{city}`.
PLACEHOLDER = re.compile(r"\{(\w+)\}")

#: Headers that hold secrets, which do not belong in a settings file.
_SECRET_HEADERS = {"authorization", "proxy-authorization", "cookie"}

ToolName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
ServerName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9-]+(_[a-zA-Z0-9-]+)*$", max_length=40)]
HeaderName = Annotated[str, StringConstraints(pattern=r"^[\w-]+$")]
HeaderValue = Annotated[str, StringConstraints(pattern=r"^[ -~]*$")]
Host = Annotated[str, StringConstraints(pattern=r"^([\w.-]+|\[[0-9a-fA-F:.]+\])(:\d+)?$", to_lower=True)]
Url = Annotated[str, StringConstraints(pattern=r"^https?://[^\s#/?][^\s#]*$")]


class _Called(InputModel):
    """The settings that all tools share."""

    timeout_s: PositiveFloat | None = None  #: default: the endpoint's `tool_timeout_s`
    repeatable: bool = False  #: call the tool again in a rerun instead of using the output of the earlier run
    concurrency: PositiveInt | None = None  #: calls at a time in one worker process; default: unlimited


class FunctionSettings(_Called):
    """A Python function that the model may call: `weather = "package.module:function"`."""

    function: Annotated[str, StringConstraints(pattern=r"^[\w.]+:[\w.]+$")]
    isolate: bool = False  #: run each call in a child process, which is killed after the timeout
    memory_limit_mb: PositiveInt | None = None  #: memory of the child process; default: 1024

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.memory_limit_mb is not None and not self.isolate:
            raise ValueError("`memory_limit_mb` needs a process of the tool's own: set isolate = true")
        return self


class HttpSettings(_Called):
    """An HTTP request that the model may call. `{name}` in the URL is replaced by an argument."""

    url: Url
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    description: str = ""
    parameters: dict[str, JsonValue]  #: JSON Schema of the arguments, an object
    headers: dict[HeaderName, HeaderValue] = Field(default={})
    headers_env: dict[HeaderName, Variable] = Field(default={})  #: header -> variable with its value
    hosts: tuple[Host, ...] = ()  #: allowed hosts, as `host` or `host:port`; default: the URL's host
    reply_limit_bytes: PositiveInt = 1_000_000  #: bytes read of a reply; the rest is ignored

    @property
    def allowed(self) -> tuple[str, ...]:
        return self.hosts or (urlsplit(self.url).netloc.lower(),)

    @model_validator(mode="after")
    def _sound(self) -> Self:
        host = urlsplit(self.url).netloc
        if "@" in host:
            raise ValueError("`url` holds a user or password; name a variable in headers_env for it")
        if "{" in host and not self.hosts:
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
    """An MCP server (Model Context Protocol), started by a command or reached by a URL."""

    command: Annotated[tuple[str, ...], Field(min_length=1)] | None = None  #: a program that uses stdin and stdout
    env: tuple[Variable, ...] = ()  #: the worker's variables that the command gets, besides PATH, HOME and similar
    url: Url | None = None  #: the URL of a server that uses streamable HTTP
    headers: dict[HeaderName, HeaderValue] = Field(default={})
    headers_env: dict[HeaderName, Variable] = Field(default={})
    tools: tuple[str, ...] | None = None  #: the server's names of the tools to offer; default: all

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
    """Parses a tool: a string is a function, a table with a `url` an HTTP request. Errors are those of that kind."""
    if isinstance(value, str):
        value = {"function": value}
    if not isinstance(value, dict):
        return value
    return HttpSettings.model_validate(value) if "url" in value else FunctionSettings.model_validate(value)


#: An entry of [tools].
ToolSettings = Annotated[FunctionSettings | HttpSettings, BeforeValidator(_of_its_kind)]


def server_of(name: str, servers: Container[str]) -> str | None:
    """Returns the MCP server of a name: of all its tools (`files`) or of one (`files__read`); None for other names."""
    server = name.partition(SEPARATOR)[0]
    return server if server in servers else None
