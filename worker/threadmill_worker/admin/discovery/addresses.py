"""Finds the base URL in what users write, and explains why a server is of no use. PURE."""

import re
from collections.abc import Callable, Iterable, Sequence
from urllib.parse import urlsplit

from threadmill.errors import ThreadmillError
from threadmill_worker.admin.discovery.findings import said
from threadmill_worker.drivers.http.exchange import Cause, Reply, Unreached
from threadmill_worker.drivers.replies.paths import UNAUTHORISED

#: Paths of the APIs, which users copy together with the base URL.
_API_PATH = re.compile(r"/(?:chat/completions|completions|responses|models|threads|assistants|embeddings)/?$")

#: Where some hosts have the API, if their URL has no path.
_OWN_PATHS = (
    (re.compile(r"\.openai\.azure\.com$|\.services\.ai\.azure\.com$"), "/openai/v1"),
    (re.compile(r"^generativelanguage\.googleapis\.com$"), "/v1beta/openai"),
    (re.compile(r"^prod\.dvcbot\.net$"), "/api/assts/v1"),
)

_REMEDIES = {
    Cause.HOST: "there is no such host: check the name, and the DNS of this machine",
    Cause.CONNECTION: "nothing listens there, or it cannot be reached: check host and port, and that the server runs",
    Cause.TLS: "there is no secure connection: check the certificate (SSL_CERT_FILE names that of a private "
    "authority), and whether the server has TLS at all (http:// in place of https://)",
    Cause.TIMEOUT: "check that the server is not overloaded, and that no firewall is between",
    Cause.BROKEN: "the connection broke: check that this is an HTTP server, and whether it wants https://",
    Cause.UNUSABLE: "check that base_url leads to the API",
}


class ServerUnusable(ThreadmillError):
    """The server cannot be used; the text says why, and what to check."""


def base_urls(url: str) -> tuple[str, ...]:
    """Returns the base URLs to try, the likeliest first."""
    base = _API_PATH.sub("", url.rstrip("/")).rstrip("/")
    parts = urlsplit(base)
    own = next((path for host, path in _OWN_PATHS if host.search(parts.hostname or "")), None)
    if own and not parts.path:
        return (base + own,)
    if re.search(r"/v\d+(?:beta)?(?:/|$)", parts.path):
        return (base,)
    return base, f"{base}/v1"


def unreached(base_url: str, error: Unreached) -> ServerUnusable:
    return ServerUnusable(f"{base_url}: {error}; {_REMEDIES[error.cause]}")


def useless(tried: Sequence[tuple[str, Sequence[Reply]]], variable: str | None) -> ServerUnusable:
    """Returns why no API was found. `tried`: base URLs with the replies to the requests for the APIs.

    `variable`: the one with the key that was sent.
    """
    replies = [reply for _, some in tried for reply in some]
    where = " and ".join(base_url for base_url, _ in tried)
    if refused := _first(replies, lambda reply: reply.status in UNAUTHORISED):
        remedy = (
            f"check the key in {variable}" if variable else "the server wants a key: name its variable with --key-env"
        )
        return ServerUnusable(f"{tried[0][0]} answers {said(refused)}: {remedy}")
    if page := _first(replies, lambda reply: reply.content_type.startswith("text/html") and reply.status < 400):
        return ServerUnusable(
            f"{where} answers with {said(page)[4:]}: this is a web page and not the API. Give the URL of the API, "
            "which often ends with /v1"
        )
    if redirect := _first(replies, lambda reply: bool(reply.location)):
        return ServerUnusable(f"{tried[0][0]} answers {said(redirect)}: give that URL")
    if broken := _first(replies, lambda reply: reply.status == 429 or 500 <= reply.status != 501):
        return ServerUnusable(f"{tried[0][0]} answers {said(broken)}: try again when the server works")
    shown = said(_first(replies, lambda reply: reply.status != 404) or replies[0])
    key = "" if variable else "; if it wants a key, name its variable with --key-env"
    return ServerUnusable(
        f"{where} has none of Responses, Chat Completions and Assistants (answers {shown}): check the URL; it is the "
        f"one that OpenAI's SDKs call base_url{key}"
    )


def _first(replies: Iterable[Reply], fits: Callable[[Reply], bool]) -> Reply | None:
    return next((reply for reply in replies if fits(reply)), None)
