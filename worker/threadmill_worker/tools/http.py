"""Tools that are HTTP requests: `url`, `parameters` and so on in the settings, under [tools].

The model's arguments fill the placeholders of the URL, the query or the body. They can neither change the host nor
leave the path of the settings.
"""

import json
import re
from collections.abc import Mapping
from contextlib import aclosing
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import httpx

from threadmill.errors import SettingsError
from threadmill.job.json.schema import schema_problem
from threadmill.settings import credentials
from threadmill.settings.tools import PLACEHOLDER, HttpSettings
from threadmill_worker.answer.validation import TooMuchWork, first_errors
from threadmill_worker.retry import while_unconnected
from threadmill_worker.tools.tool import ToolFailed, slots
from threadmill_worker.tracing.http_calls import http_call

#: How long connecting may take, in seconds. The whole call has its own limit.
CONNECT_S = 5.0

_PORTS = {"http": 80, "https": 443}
_IN_QUERY = {"GET", "DELETE"}
_SHOWN_ERRORS = 3


def connect() -> httpx.AsyncClient:
    """Returns the client of all HTTP tools. Jobs share it, so it keeps no cookies; it follows no redirects."""
    return httpx.AsyncClient(
        timeout=httpx.Timeout(None, connect=CONNECT_S),
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
    )


async def send(http: httpx.AsyncClient, request: httpx.Request, template: str | None = None) -> httpx.Response:
    """Sends a request, also again while there is no connection. The caller reads the body of the reply.

    `template`: the URL without what a model wrote.
    """
    with http_call(request.method, str(request.url), request.headers, template) as call:
        reply: httpx.Response = await while_unconnected()(http.send, request, stream=True)
        call.replied(reply.status_code)
    return reply


class HttpTool:
    """A request as the settings describe it. Raises SettingsError for a missing variable or an invalid JSON Schema."""

    def __init__(self, name: str, settings: HttpSettings, http: httpx.AsyncClient) -> None:
        owner = f"tool {name!r}"
        self.name = name
        self.description = settings.description
        self.parameters: Mapping[str, Any] = settings.parameters
        self.timeout_s = settings.timeout_s
        self.repeatable = settings.repeatable
        secrets = {header: credentials.required(variable, owner) for header, variable in settings.headers_env.items()}
        self._settings = settings
        self._headers = settings.headers | secrets
        self._http = http
        self._slots = slots(settings.concurrency)
        self._fixed = {key for key, _ in parse_qsl(urlsplit(settings.url).query, keep_blank_values=True)}
        if problem := schema_problem(settings.parameters):
            raise SettingsError(f"{owner}: parameters is not a JSON Schema, {problem}")

    async def call(self, arguments: Mapping[str, Any]) -> str:
        """Returns the text of the reply. Raises ToolFailed for invalid arguments, and for any status other than 2xx."""
        self._check(arguments)
        request = self._request(arguments)
        async with self._slots:
            reply = await send(self._http, request, self._settings.url)
            text = await read_text(reply, self._settings.reply_limit_bytes)
        status = f"HTTP {reply.status_code} {reply.reason_phrase}"
        if reply.has_redirect_location:
            raise ToolFailed(f"{status}: it leads to {reply.headers['location']}, and redirects are not followed")
        if not reply.is_success:
            raise ToolFailed(f"{status}: {text.strip()}")
        return text

    def _check(self, arguments: Mapping[str, Any]) -> None:
        try:
            errors = first_errors(self.parameters, dict(arguments), _SHOWN_ERRORS)
        except TooMuchWork as error:
            raise ToolFailed(f"the arguments cannot be checked: {error}") from None
        if errors:
            found = "; ".join(f"at {error.json_path}: {error.message}" for error in errors)
            raise ToolFailed(f"the arguments do not fit: {found}")

    def _request(self, arguments: Mapping[str, Any]) -> httpx.Request:
        url = self._url(arguments)
        in_url = set(PLACEHOLDER.findall(self._settings.url))
        rest = {name: value for name, value in arguments.items() if name not in in_url}
        method = self._settings.method
        if method not in _IN_QUERY:
            return self._http.build_request(method, url, headers=self._headers, json=rest)
        taken = self._fixed & rest.keys()
        if taken:
            raise ToolFailed(f"the arguments do not fit: {', '.join(sorted(taken))} is set by the tool itself")
        query = {name: _in_query(value) for name, value in rest.items() if value is not None}
        return self._http.build_request(method, url.copy_merge_params(query) if query else url, headers=self._headers)

    def _url(self, arguments: Mapping[str, Any]) -> httpx.URL:
        """Fills in the placeholders. Raises ToolFailed if the URL would leave the path or the hosts of the settings."""
        filled = PLACEHOLDER.sub(lambda found: _in_url(found[1], arguments[found[1]]), self._settings.url)
        steps = re.split(r"[/\\]", unquote(urlsplit(filled).path))
        if "." in steps or ".." in steps:
            raise ToolFailed("the arguments do not fit: . and .. are not allowed in a path")
        try:
            url = httpx.URL(filled)
        except httpx.InvalidURL as error:
            raise ToolFailed(f"the arguments do not fit: they do not make a valid URL ({error})") from None
        host = url.raw_host.decode(), url.port
        if host not in {_host(allowed, url.scheme) for allowed in self._settings.allowed}:
            shown = url.netloc.decode()
            raise ToolFailed(f"requests to {shown} are not allowed, only to {', '.join(self._settings.allowed)}")
        return url


def _host(allowed: str, scheme: str) -> tuple[str, int | None]:
    """Host and port of an allowed host, in the form of httpx: the default port of the scheme is None."""
    url = httpx.URL(f"{scheme}://{allowed}")
    return url.raw_host.decode(), None if url.port == _PORTS[scheme] else url.port


def _in_url(name: str, value: Any) -> str:
    """Quotes a value as one segment of a URL."""
    text = value if isinstance(value, str) else json.dumps(value)
    if value is None or isinstance(value, dict | list) or not text:
        raise ToolFailed(f"the arguments do not fit: {name} must be a text that is not empty, or a number")
    return quote(text, safe="")


def _in_query(value: Any) -> list[str]:
    """Returns the values of one query parameter; a list repeats the parameter."""
    values = value if isinstance(value, list) else [value]
    return [each if isinstance(each, str) else json.dumps(each, ensure_ascii=False) for each in values]


async def read_text(reply: httpx.Response, limit: int) -> str:
    """Reads at most `limit` bytes of a reply, and closes it. Raises ToolFailed if they are not text."""
    body = bytearray()
    async with aclosing(reply):
        async for chunk in reply.aiter_bytes():
            body += chunk
            if len(body) > limit:
                break
    if b"\0" in body:
        raise ToolFailed(f"the reply is not text but {reply.headers.get('content-type', 'of an unknown type')}")
    text = body[:limit].decode(reply.encoding or "utf-8", "replace")
    return text if len(body) <= limit else f"{text}\n[cut: only the first {limit} bytes of the reply were read]"
