"""The calls of runs: what is sent, what is read, and how a call fails."""

from typing import Any

import aiohttp
import httpx2
import openai
import pytest
from tests.answering import client_of

from threadmill.settings.endpoints.endpoint import Endpoint
from threadmill_worker.drivers.http.calls import Http, Post, _proxy_of
from threadmill_worker.drivers.http.client import connect
from threadmill_worker.drivers.replies.errors import Target, call_error_of
from threadmill_worker.drivers.replies.json import UnusableReply
from threadmill_worker.lifecycle.observations import Unknown

SMALL = Endpoint(kind="responses", api_key_env=None, reply_limit_bytes=10)


class Server:
    """Records the requests, and answers each with the same reply."""

    def __init__(self, status: int = 200, text: str = "{}", endpoint: Endpoint | None = None, **headers: str) -> None:
        self.asked: list[httpx2.Request] = []
        self._reply = lambda: httpx2.Response(status, text=text, headers=headers)
        self.http = client_of(self._answer, endpoint).http

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request)
        return self._reply()

    @property
    def urls(self) -> list[str]:
        return [str(request.url).removeprefix("http://server/v1") for request in self.asked]


async def test_an_id_cannot_name_another_path() -> None:
    server = Server()
    for thread in ("../files", "a b/c?d", "..", "thread_1"):
        await server.http.get("threads", thread, "messages")
    assert server.urls == [
        "/threads/..%2Ffiles/messages",
        "/threads/a%20b%2Fc%3Fd/messages",
        "/threads/%2E%2E/messages",
        "/threads/thread_1/messages",
    ]


async def test_a_parameter_with_several_values_is_repeated() -> None:
    server = Server()
    await server.http.get("responses", "resp_1", include=["a", "b"], order="asc", limit=100)
    assert server.urls == ["/responses/resp_1?include%5B%5D=a&include%5B%5D=b&order=asc&limit=100"]


async def test_a_body_is_sent_in_utf8_and_a_call_without_one_sends_none() -> None:
    server = Server()
    await server.http.post("threads", body={"text": "für 你"})
    await server.http.post("threads", "thread_1", "runs", "run_1", "cancel")
    assert [request.content for request in server.asked] == ['{"text":"für 你"}'.encode(), b""]


async def test_a_stream_is_asked_for_in_the_body() -> None:
    server = Server()
    async with server.http.stream(Post(("responses",), {"model": "m"})):
        pass
    assert server.asked[0].content == b'{"model":"m","stream":true}'


async def test_calls_of_assistants_name_the_version_of_the_api() -> None:
    server = Server()
    for objects in ("threads", "vector_stores", "responses", "files"):
        await server.http.delete(objects, "id_1")
    versions = [request.headers.get("openai-beta") for request in server.asked]
    assert versions == ["assistants=v2", "assistants=v2", None, None]


async def test_a_number_that_json_lacks_is_not_sent() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        await Server().http.post("threads", body={"top_p": float("nan")})


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (302, openai.APIStatusError),
        (400, openai.BadRequestError),
        (404, openai.NotFoundError),
        (429, openai.APIStatusError),
        (503, openai.APIStatusError),
    ],
)
async def test_a_refusal_holds_the_reply(status: int, kind: type[openai.APIStatusError]) -> None:
    server = Server(status, "no such thing", retry_after="7", content_encoding="gzip")
    with pytest.raises(kind) as raised:
        await server.http.get("threads", "thread_1")
    assert (raised.value.status_code, raised.value.response.text) == (status, "no such thing")


async def test_a_long_refusal_is_cut() -> None:
    with pytest.raises(openai.APIStatusError) as raised:
        await Server(500, "x" * 300_000).http.get("threads", "thread_1")
    assert len(raised.value.response.text) == 100_000


async def test_a_reply_that_is_too_large_is_unusable() -> None:
    assert (await Server(text="0123456789", endpoint=SMALL).http.get("threads", "t")).text == "0123456789"
    with pytest.raises(UnusableReply, match="more than 10 bytes"):
        await Server(text="01234567890", endpoint=SMALL).http.get("threads", "t")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (aiohttp.SocketTimeoutError("slow"), openai.APITimeoutError),
        (aiohttp.ServerDisconnectedError(), openai.APIConnectionError),
        (aiohttp.ClientPayloadError("cut"), openai.APIConnectionError),
        (ConnectionResetError(104, "reset"), openai.APIConnectionError),
        (ValueError("a header cannot hold a line end"), openai.APIConnectionError),
    ],
)
async def test_a_connection_that_breaks_raises_an_error_of_the_sdk(error: Exception, kind: type[Exception]) -> None:
    def breaks(_: httpx2.Request) -> httpx2.Response:
        raise error

    with pytest.raises(kind) as raised:
        await client_of(breaks).http.get("threads", "thread_1")
    assert raised.value.__cause__ is error
    assert isinstance(call_error_of(raised.value, Target.OBJECT), Unknown)


@pytest.mark.parametrize(
    ("base_url", "names_owner"), [("https://api.openai.com/v1", True), ("http://gateway/v1", False)]
)
def test_only_openai_receives_an_organisation(base_url: str, names_owner: bool, monkeypatch: Any) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    headers = connect(Endpoint(kind="responses", base_url=base_url, api_key_env="OPENAI_API_KEY")).http._headers
    assert headers.get("OpenAI-Organization") == ("org-1" if names_owner else None)
    assert headers["Authorization"] == "Bearer sk-secret"


async def test_a_token_takes_the_place_of_a_key() -> None:
    sent: list[dict[str, str]] = []

    class Session:
        def request(self, *_: Any, headers: dict[str, str], **__: Any) -> Any:
            sent.append(headers)
            raise ConnectionResetError

    async def token() -> str:
        return "token-of-this-hour"

    http = Http(SMALL, "http://server/openai/", {}, {"api-version": "v"}, token)
    http._session = Session()  # type: ignore[assignment]
    with pytest.raises(openai.APIConnectionError) as raised:
        await http.get("threads", "thread_1")
    assert sent[0]["Authorization"] == "Bearer token-of-this-hour"
    assert str(raised.value.request.url) == "http://server/openai/threads/thread_1?api-version=v"


def test_the_proxy_is_that_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:1")
    monkeypatch.setenv("ALL_PROXY", "http://proxy:2")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,inside")
    urls = ["https://api.openai.com/v1", "http://server/v1", "http://127.0.0.1:8080/v1", "https://a.inside/v1"]
    assert [_proxy_of(url) for url in urls] == ["http://proxy:1", "http://proxy:2", None, None]
