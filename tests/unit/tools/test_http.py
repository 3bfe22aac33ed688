"""Tools that are HTTP requests: what is sent, where it may go, and what the model is told."""

import json

import httpx
import pytest

from threadmill.errors import SettingsError
from threadmill.settings.endpoints.endpoint import Endpoint
from threadmill.settings.tools import HttpSettings
from threadmill_worker.lifecycle.observations import ToolCall
from threadmill_worker.tools.executor import ToolExecutor
from threadmill_worker.tools.http import HttpTool
from threadmill_worker.tools.registry import ToolRegistry
from threadmill_worker.tools.tool import ToolFailed

CITY = {"type": "object", "properties": {"city": {}}, "required": ["city"]}


class Server:
    """Answers as told, and keeps what it was asked."""

    def __init__(self, *, status: int = 200, text: str = "21 degrees", **headers: str) -> None:
        self.asked: list[httpx.Request] = []
        self.reply = {"status_code": status, "text": text, "headers": headers}
        self.http = httpx.AsyncClient(transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        return httpx.Response(**self.reply)

    def tool(self, url: str = "https://api.example.com/v1/weather/{city}", **fields: object) -> HttpTool:
        parameters = fields.pop("parameters", CITY)
        settings = HttpSettings.model_validate({"url": url, "parameters": parameters, **fields})
        return HttpTool("weather", settings, self.http)


@pytest.mark.parametrize(
    ("city", "path"),
    [
        ("Taipei", "/v1/weather/Taipei"),
        ("台北", "/v1/weather/%E5%8F%B0%E5%8C%97"),
        ("a b", "/v1/weather/a%20b"),
        ("a/b", "/v1/weather/a%2Fb"),
        ("?admin=1", "/v1/weather/%3Fadmin%3D1"),
        ("#x", "/v1/weather/%23x"),
        ("x@evil.com", "/v1/weather/x%40evil.com"),
        ("//evil.com", "/v1/weather/%2F%2Fevil.com"),
        ("https://evil.com", "/v1/weather/https%3A%2F%2Fevil.com"),
        ("%2e%2e", "/v1/weather/%252e%252e"),
        ("a\r\nHost: evil.com", "/v1/weather/a%0D%0AHost%3A%20evil.com"),
        ("...", "/v1/weather/..."),
        (7, "/v1/weather/7"),
        (True, "/v1/weather/true"),
    ],
)
async def test_whatever_a_placeholder_gets_stays_one_step_of_the_path(city, path):
    server = Server()

    assert await server.tool().call({"city": city}) == "21 degrees"
    [request] = server.asked
    assert request.url.raw_path.decode() == path
    assert request.headers["host"] == "api.example.com"


@pytest.mark.parametrize("city", ["..", ".", "../admin", "x/../../admin", "..\\admin", "", None, ["x"], {"x": 1}])
async def test_what_could_leave_the_path_is_refused(city):
    server = Server()

    with pytest.raises(ToolFailed, match=r"the arguments do not fit: "):
        await server.tool().call({"city": city})
    assert server.asked == []


async def test_dots_that_only_together_leave_the_path_are_refused():
    both = {"type": "object", "required": ["a", "b"]}

    with pytest.raises(ToolFailed, match=r"not allowed in a path"):
        await Server().tool("https://api.example.com/{a}{b}/x", parameters=both).call({"a": ".", "b": "."})


@pytest.mark.parametrize(
    ("hosts", "place", "is_allowed"),
    [
        (["eu.example.com", "us.example.com"], "eu.example.com", True),
        (["eu.example.com"], "EU.example.com", True),
        (["eu.example.com:443"], "eu.example.com", True),
        (["eu.example.com"], "eu.example.com:443", False),  # its colon is encoded: no host at all
        (["eu.example.com:8443"], "eu.example.com", False),
        (["eu.example.com"], "evil.com", False),
        (["eu.example.com"], "169.254.169.254", False),
        (["eu.example.com"], "evil.com/.eu.example.com", False),
        (["eu.example.com"], "evil.com#", False),
        (["eu.example.com"], "eu.example.com@evil.com", False),
        (["eu.example.com"], "eu.example.com.", False),
        (["eu.example.com"], "evileu.example.com", False),
    ],
)
async def test_a_host_that_is_an_argument_must_be_on_the_list(hosts, place, is_allowed):
    server = Server()
    tool = server.tool("https://{place}/x", hosts=hosts, parameters={"type": "object", "required": ["place"]})

    if is_allowed:
        await tool.call({"place": place})
        assert server.asked[0].url.host == "eu.example.com"
    else:
        with pytest.raises(ToolFailed, match=r"not allowed, only to eu\.example\.com|they do not make a valid URL"):
            await tool.call({"place": place})
        assert server.asked == []


async def test_the_rest_of_the_arguments_of_a_get_is_its_query():
    server = Server()
    tool = server.tool("https://api.example.com/{city}?units=metric", parameters=CITY)
    await tool.call({"city": "x", "q": "a&units=b", "tags": ["x", 1], "deep": {"a": True}, "none": None, "n": 2.5})

    [request] = server.asked
    assert request.url.params.multi_items() == [
        ("units", "metric"),
        ("q", "a&units=b"),
        ("tags", "x"),
        ("tags", "1"),
        ("deep", '{"a": true}'),
        ("n", "2.5"),
    ]


async def test_what_the_url_says_itself_no_argument_changes():
    server = Server()
    tool = server.tool("https://api.example.com/x?account=ours", parameters={"type": "object"})

    with pytest.raises(ToolFailed, match=r"account is set by the tool itself"):
        await tool.call({"account": "theirs"})
    assert server.asked == []


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_the_rest_of_the_arguments_is_the_body_otherwise(method):
    server = Server()
    await server.tool(method=method).call({"city": "Taipei", "note": "天", "n": [1, {"a": None}]})

    [request] = server.asked
    assert (request.method, request.url.query) == (method, b"")
    assert json.loads(request.content) == {"note": "天", "n": [1, {"a": None}]}
    assert request.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "'city' is a required property"),
        ({"city": 7}, "at $.city: 7 is not of type 'string'"),
        ({"city": "x", "days": 9}, "at $.days: 9 is greater than the maximum of 7"),
        ({"city": "x", "mood": 1}, "'mood' was unexpected"),
    ],
)
async def test_arguments_that_do_not_fit_the_schema_go_nowhere(arguments, says):
    server = Server()
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"maximum": 7}},
        "required": ["city"],
        "additionalProperties": False,
    }
    with pytest.raises(ToolFailed) as told:
        await server.tool(parameters=schema).call(arguments)
    assert says in str(told.value)
    assert server.asked == []


@pytest.mark.parametrize("status", [400, 404, 422, 500, 503])
async def test_a_refusal_is_reported_with_its_status_and_text(status):
    with pytest.raises(ToolFailed, match=rf"^HTTP {status} .*: no such city$"):
        await Server(status=status, text="no such city\n").tool().call({"city": "x"})


async def test_a_redirect_is_not_followed():
    server = Server(status=302, location="http://169.254.169.254/latest")

    with pytest.raises(ToolFailed, match=r"HTTP 302 Found: it leads to http://169.254.169.254/latest, and redirects"):
        await server.tool().call({"city": "x"})
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("error", "requests", "told"),
    [
        ([httpx.ConnectError("refused")] * 2, 3, "21 degrees"),
        ([httpx.ConnectError("refused")] * 3, 3, None),
        ([httpx.ReadError("reset")], 1, None),
        ([httpx.ReadTimeout("slow")], 1, None),
    ],
)
async def test_only_a_request_that_reached_nobody_is_repeated(error, requests, told):
    server, troubles = Server(), list(error)
    begun = 0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal begun
        begun += 1
        if troubles:
            raise troubles.pop()
        return httpx.Response(200, text="21 degrees")

    server.http = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    tool = server.tool(method="POST")
    if told:
        assert await tool.call({"city": "x"}) == told
    else:
        with pytest.raises(type(error[0])):
            await tool.call({"city": "x"})
    assert begun == requests


async def test_no_more_of_a_reply_is_read_than_allowed():
    text = await Server(text="x" * 5000).tool(reply_limit_bytes=100).call({"city": "x"})
    assert text == "x" * 100 + "\n[cut: only the first 100 bytes of the reply were read]"


async def test_a_reply_that_is_not_text_is_reported_as_such():
    with pytest.raises(ToolFailed, match=r"the reply is not text but image/png"):
        await Server(text="\x89PNG\0\0", **{"content-type": "image/png"}).tool().call({"city": "x"})


async def test_a_secret_is_sent_and_never_shown(monkeypatch):
    monkeypatch.setenv("WEATHER_AUTH", "Bearer sk-weather-1")
    server = Server(text="you sent Bearer sk-weather-1, that is sk-weather-1")
    tool = server.tool(headers={"Accept": "text/plain"}, headers_env={"Authorization": "WEATHER_AUTH"})
    endpoint = Endpoint.model_validate({"kind": "assistants", "base_url": "http://127.0.0.1:9"})
    executor = ToolExecutor(ToolRegistry({"weather": tool}), endpoint, None)
    ready = await executor.call(ToolCall("call_1", "weather", '{"city": "x"}'), "thread_1", "asst_1", 5)
    await executor.close()

    assert ready.output == "you sent [key], that is [key]"
    [request] = server.asked
    assert (request.headers["authorization"], request.headers["accept"]) == ("Bearer sk-weather-1", "text/plain")


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (None, "tool 'weather' needs WEATHER_AUTH, which is not set"),
        (" ", "needs WEATHER_AUTH"),
        ("sk-天", "the value of WEATHER_AUTH has a character outside of ASCII at position 4"),
        ("sk-1\nX-Admin: 1", "the value of WEATHER_AUTH has a line end at position 5"),
    ],
)
def test_a_missing_secret_is_reported_at_the_start(monkeypatch, value, says):
    if value is not None:
        monkeypatch.setenv("WEATHER_AUTH", value)
    with pytest.raises(SettingsError) as told:
        Server().tool(headers_env={"Authorization": "WEATHER_AUTH"})
    assert says in str(told.value)
    assert "sk-" not in str(told.value)


def test_parameters_that_are_not_a_schema_are_refused_at_the_start():
    with pytest.raises(SettingsError, match=r"tool 'weather': parameters is not a JSON Schema, at \$"):
        Server().tool(parameters={"type": "object", "properties": {"city": 7}, "required": ["city"]})
