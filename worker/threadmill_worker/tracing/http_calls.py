"""The span of an HTTP call that is made for a job. Calls outside of jobs have none."""

import re
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from threadmill.secrets.redaction import redact
from threadmill.tracing import spans
from threadmill_worker.tracing import content

if TYPE_CHECKING:
    from opentelemetry.trace import Span

_PORTS = {"http": 80, "https": 443}

#: Segments of a path that are no ids.
_WORD = re.compile(r"[a-z_]*|v\d+")


class HttpCall:
    def __init__(self, span: "Span | None" = None) -> None:
        self._span = span

    def replied(self, status: int) -> None:
        """Tells the status of the reply."""
        if self._span is None:
            return
        self._span.set_attribute("http.response.status_code", status)
        if status >= 400:
            spans.fail(self._span, str(status))


_UNTRACED = HttpCall()


@contextmanager
def http_call(
    method: str, url: str, headers: MutableMapping[str, str], template: str | None = None
) -> Iterator[HttpCall]:
    """Traces a call, from here to the end of the block. Adds the headers by which its server can continue the trace.

    `template`: the URL with placeholders, if a model wrote parts of `url`; default: ids are told by their form.
    """
    tracer = spans.tracer() if spans.current() else None
    if tracer is None:
        yield _UNTRACED
        return
    from opentelemetry.propagate import inject
    from opentelemetry.trace import SpanKind, set_span_in_context

    name, attributes = described(method, url, template)
    span = tracer.start_span(name, kind=SpanKind.CLIENT, attributes=attributes)
    inject(headers, set_span_in_context(span))
    call = HttpCall(span)
    try:
        yield call
    except BaseException as error:
        if (status := getattr(error, "status_code", None)) is None:
            spans.fail(span, type(error).__qualname__)
        else:
            call.replied(status)
        raise
    finally:
        span.end()


def server_of(url: str) -> dict[str, Any]:
    """Returns the attributes that name the server of a URL."""
    parts = urlsplit(url)
    return {"server.address": parts.hostname or "", "server.port": parts.port or _PORTS.get(parts.scheme, 0)}


def described(method: str, url: str, template: str | None = None) -> tuple[str, dict[str, Any]]:
    """Returns the name of the span of a call, and its attributes, as the conventions of HTTP clients have them."""
    parts = urlsplit(url)
    if template is None:
        path = "/".join(each if _WORD.fullmatch(each) else "{id}" for each in parts.path.split("/"))
    else:
        path = redact(urlsplit(template).path)
    attributes = {
        "http.request.method": method,
        **server_of(url),
        "url.template": path,
    }
    if template is None or content.is_captured():
        attributes["url.full"] = redact(parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl())
    return f"{method} {path}", attributes
