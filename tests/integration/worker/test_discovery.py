"""What `threadmill doctor` finds out about the servers that people run, and about what is no server of an API."""

import asyncio
import socket
import tomllib

import pytest
from starlette.applications import Starlette
from starlette.responses import (
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route
from tests.certificates import private
from tests.emulated import DAVINCI_PATH
from tests.hostile import HOSTILE_TEXTS
from tests.tls import with_tls

from threadmill.settings.endpoints.endpoint import Endpoint
from threadmill_cli.local.services import free_port
from threadmill_worker.admin.discovery.addresses import ServerUnusable
from threadmill_worker.admin.discovery.discover import discover_endpoint, discover_url
from threadmill_worker.admin.discovery.settings_lines import differences, settings_lines

pytestmark = pytest.mark.integration

PATIENCE_S = 60.0


async def discover(url, variable=None, *, model=None, prompts=True, limit_s=PATIENCE_S):
    return await discover_url(url, variable, model=model, prompts=prompts, limit_s=limit_s, found=lambda _: None)


def table(found):
    return tomllib.loads(settings_lines(found, "it", None))["endpoints"]["it"]


#: What each profile of the emulator lacks, and has besides, as the settings say it.
PROFILES = {
    "litellm-bridge": {"files": False, "background": False, "stored_responses": False, "batches": False},
    "litellm-polling": {"files": False, "streaming": False, "batches": False},
    "ogx": {"list_responses": True, "streaming": False, "batches": False},
    "vllm": {"files": False, "background": False, "stored_responses": False, "batches": False},
    "ollama": {"files": False, "background": False, "stored_responses": False, "batches": False},
}


@pytest.mark.parametrize("like", PROFILES)
async def test_a_server_of_responses_is_described(emulate, like):
    with emulate(like=like) as emulator:
        endpoint = Endpoint(kind="responses", base_url=f"{emulator.url}/v1", model="emulator-1", api_key_env="")
        found = await discover_endpoint(endpoint, None, prompts=True, limit_s=PATIENCE_S, found=lambda _: None)

        assert table(found)["kind"] == "responses"
        assert table(found)["supports"] == PROFILES[like]
        assert found.has("conversations") is (like == "ogx")
        assert found.has("json_schema") is True
        assert found.has("data_urls") is True
        assert emulator.left() == {}


@pytest.mark.parametrize("like", PROFILES)
async def test_chat_completions_are_better_than_an_imitation_of_responses(emulate, like):
    with emulate(like=like) as emulator:
        found = await discover(f"{emulator.url}/v1", model="emulator-1")

        assert found.wires == ("responses", "chat")
        assert found.wire == ("chat" if "background" in PROFILES[like] else "responses")
        assert [found.has(each) for each in ("streaming", "json_schema", "data_urls")][1:] == [True, True]
        assert emulator.left() == {}


#: What servers with Chat Completions alone have besides the defaults of the kind, or lack.
CHAT_PROFILES = {
    "vllm-chat": {"max_completion_tokens": True},
    "llama.cpp": {"max_completion_tokens": True, "data_urls": False},
    "ollama-chat": {},
    "gemini": {"max_completion_tokens": True},
    "anthropic": {"max_completion_tokens": True, "json_schema": False},
}


@pytest.mark.parametrize("like", CHAT_PROFILES)
async def test_the_chat_completions_of_a_server_are_described(emulate, like):
    with emulate(like=like) as emulator:
        found = await discover(f"{emulator.url}/v1", model="emulator-1")

        assert (found.wires, found.warnings) == (("chat",), ())
        assert table(found).get("supports", {}) == CHAT_PROFILES[like]
        assert (found.has("streaming"), found.has("stream_usage")) == (True, True)


async def test_a_function_is_called_by_a_model_that_can(emulator):
    found = await discover(emulator.base_url, model="emulator-tools")
    assert found.has("tools") is True


async def test_a_server_of_assistants_is_described(emulate):
    with emulate(like="open-assistant-api") as emulator:
        found = await discover(f"{emulator.url}/v1", model="emulator-1")

        assert table(found) == {"kind": "assistants", "base_url": f"{emulator.url}/v1"} | table(found)
        assert (found.has("responses"), found.has("create_and_run"), emulator.left()) == (False, False, {})


async def test_a_server_of_all_that_openai_has_needs_no_further_settings(emulator):
    found = await discover(emulator.url, model="emulator-1")

    assert (found.wire, found.base_url) == ("responses", f"{emulator.url}/v1")
    assert "supports" not in table(found)
    assert found.notes == (f"the base URL is {emulator.url}/v1, not {emulator.url}",)
    assert [found.has(each) for each in ("background", "stored_responses", "streaming", "batches", "files")] == [
        True
    ] * 5
    assert emulator.left() == {}


@pytest.mark.emulated(run_s=600.0)
async def test_an_interrupted_check_leaves_no_response(emulator, until):
    checking = asyncio.create_task(discover(emulator.base_url, model="emulator-1"))
    await asyncio.to_thread(until, lambda: emulator.left().get("responses"))
    checking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await checking

    assert emulator.left() == {}


async def test_without_prompts_nothing_is_made(emulator):
    found = await discover(emulator.base_url, prompts=False)

    assert (found.wire, found.has("background")) == ("responses", None)
    assert (emulator.created(), emulator.left()) == (0, {})


@pytest.mark.emulated(api_key="right-key-4711")
async def test_a_wrong_key_and_a_missing_one_are_told(emulator, monkeypatch):
    with pytest.raises(ServerUnusable, match=r"401 .*the server wants a key: name its variable with --key-env"):
        await discover(emulator.base_url)
    monkeypatch.setenv("MY_KEY", "wrong-key-4712")
    with pytest.raises(ServerUnusable, match=r"401 .*check the key in MY_KEY") as raised:
        await discover(emulator.base_url, "MY_KEY")
    assert "wrong-key" not in str(raised.value)
    monkeypatch.setenv("MY_KEY", "right-key-4711")
    assert (await discover(emulator.base_url, "MY_KEY")).wire == "responses"


@pytest.mark.parametrize("wire", ["assistants", "responses"])
async def test_the_settings_of_an_endpoint_are_compared_on_its_own_api(emulate, wire):
    with emulate(like="litellm-bridge" if wire == "responses" else None) as emulator:
        endpoint = Endpoint(kind="emulator", base_url=emulator.url + DAVINCI_PATH, wire=wire, model="emulator-1")
        found = await discover_endpoint(endpoint, None, prompts=True, limit_s=PATIENCE_S, found=lambda _: None)
        texts = [each.text for each in differences(found, "mine", endpoint) if each.is_lacking]

    lacking = {
        "responses": ["files = false", "background = false", "stored_responses = false", "batches = false"],
        "assistants": [],
    }[wire]
    assert [text.partition("; set ")[2].partition(" in ")[0] for text in texts] == lacking


#: How the APIs are asked for: methods and paths.
ASKED = {
    "responses": [("POST", "/responses"), ("GET", "/responses/resp_none")],
    "chat": [("POST", "/chat/completions")],
    "assistants": [("GET", "/threads/thread_none")],
}


@pytest.mark.parametrize("wire", ASKED)
async def test_the_api_of_an_endpoint_was_found_before_and_is_not_asked_for_again(emulator, wire):
    endpoint = Endpoint(kind="emulator", base_url=emulator.base_url, wire=wire, model="emulator-1")
    found = await discover_endpoint(endpoint, None, prompts=False, limit_s=PATIENCE_S, found=lambda _: None)

    assert found.has(wire)
    asked = {name for name, requests in ASKED.items() if any(emulator.sent(*request) for request in requests)}
    assert asked == ASKED.keys() - {wire}


class Chat:
    """A server with Chat Completions alone. `refuses`: fields that it rejects by name; `ignores`: others."""

    def __init__(self, *, refuses=(), ignores=(), models=("m",)):
        self.refuses, self.ignores, self.models = refuses, ignores, models
        self.bodies = []

    @property
    def app(self):
        return Starlette(
            routes=[
                Route("/v1/models", self.list_models),
                Route("/v1/chat/completions", self.complete, methods=["POST"]),
            ]
        )

    async def list_models(self, request):
        return JSONResponse({"object": "list", "data": [{"id": each} for each in self.models]})

    async def complete(self, request):
        body = await request.json()
        if "model" not in body:
            return JSONResponse({"error": {"message": "model is required"}}, 400)
        self.bodies.append(body)
        for field in self.refuses:
            if field in body:
                return JSONResponse({"error": {"message": f"Unrecognized request argument: {field}"}}, 400)
        if body.get("stream") and "stream" not in self.ignores:
            return StreamingResponse(self.stream(body), media_type="text/event-stream")
        message = {"role": "assistant", "content": "Blue."}
        if "response_format" in body and "response_format" not in self.ignores:
            message["content"] = '{"colour": "blue"}'
        if "tools" in body:
            message["tool_calls"] = [{"id": "1", "type": "function", "function": {"name": "current_weather"}}]
        limited = any(field in body and field not in self.ignores for field in ("max_completion_tokens", "max_tokens"))
        choice = {"message": message, "finish_reason": "length" if limited and "tools" not in body else "stop"}
        if "response_format" in body:
            choice["finish_reason"] = "stop"
        return JSONResponse(
            {"object": "chat.completion", "choices": [choice], "usage": {"completion_tokens": 16 if limited else 150}}
        )

    async def stream(self, body):
        yield 'data: {"choices": [{"delta": {"content": "pong"}}]}\n\n'
        if "stream_options" in body and "stream_options" not in self.ignores:
            yield 'data: {"choices": [], "usage": {"total_tokens": 7}}\n\n'
        yield "data: [DONE]\n\n"


FEATURES = ("streaming", "stream_usage", "tools", "json_schema", "data_urls", "max_completion_tokens")


@pytest.mark.parametrize(
    ("quirks", "lacking"),
    [
        ({}, []),
        ({"refuses": ["max_completion_tokens"]}, ["max_completion_tokens"]),
        ({"ignores": ["max_completion_tokens"]}, ["max_completion_tokens"]),
        ({"ignores": ["max_completion_tokens", "max_tokens"]}, ["max_completion_tokens"]),
        ({"refuses": ["stream_options"]}, ["stream_usage"]),
        ({"ignores": ["stream_options"]}, ["stream_usage"]),
        ({"ignores": ["stream"]}, ["streaming", "stream_usage"]),
        ({"refuses": ["tools"]}, ["tools"]),
        ({"refuses": ["response_format"]}, ["json_schema"]),
        ({"ignores": ["response_format"]}, ["json_schema"]),
    ],
    ids=repr,
)
async def test_a_server_of_chat_completions_is_described(serve, quirks, lacking):
    chat = Chat(**quirks)
    found = await discover(serve(chat.app))

    assert (found.wire, found.wires, table(found)["kind"], table(found)["model"]) == ("chat", ("chat",), "chat", "m")
    assert [each for each in FEATURES if not found.has(each)] == lacking
    assert found.has("batches") is False
    limits = {
        next(each for each in ("max_completion_tokens", "max_tokens") if each in body) for body in chat.bodies[2:]
    }
    assert limits == {"max_tokens" if "max_completion_tokens" in lacking else "max_completion_tokens"}


async def test_with_several_models_one_has_to_be_named(serve):
    chat = Chat(models=("a", "b", "text-embedding-3"))
    url = serve(chat.app)
    found = await discover(url)

    assert (found.model, chat.bodies) == (None, [])
    assert "name one: a, b" in found.notes[-1]
    assert (await discover(url, model="b")).has("streaming") is True
    assert "does not list the model 'c'" in (await discover(url, model="c")).warnings[0]


async def test_a_prompt_without_an_answer_is_told(serve):
    found = await discover(serve(Chat(refuses=["messages"]).app))

    assert found.wire == "chat"
    assert found.warnings[-1].endswith("with model 'm': 400 Unrecognized request argument: messages")


async def test_a_server_that_answers_unknown_threads_500_is_known_by_a_thread(serve):
    deleted = []

    async def thread(request):
        if request.method == "DELETE":
            deleted.append(request.path_params["thread"])
            return JSONResponse({"deleted": True})
        return PlainTextResponse("not found", 500)

    async def create(request):
        return JSONResponse({"id": "thread_1", "object": "thread"})

    routes = [
        Route("/v1/threads", create, methods=["POST"]),
        Route("/v1/threads/{thread}", thread, methods=["GET", "DELETE"]),
    ]
    found = await discover(serve(Starlette(routes=routes)))

    assert (found.wire, deleted) == ("assistants", ["thread_1"])


async def test_a_prompt_that_is_not_answered_in_time_costs_no_other_finding(serve):
    chat, asked = Chat(), asyncio.Event()

    async def complete(request):
        if "model" in await request.json():
            await asked.wait()
        return JSONResponse({"error": "model is required"}, 400)

    chat.complete = complete
    found = await discover(serve(chat.app), limit_s=3)

    assert (found.wire, found.has("models")) == ("chat", True)
    assert found.warnings[-1].endswith("features were not tried: no complete reply in 3 s")


def everywhere(reply):
    async def answer(request):
        return reply if isinstance(reply, Response) else reply()

    methods = ["GET", "POST", "DELETE"]
    return Starlette(routes=[Route("/{path:path}", answer, methods=methods)])


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (HTMLResponse("<html><title>Open WebUI</title></html>"), "Open WebUI: this is a web page"),
        (HTMLResponse("<html><title>404 Not Found</title></html>", 404), "none of Responses, Chat Completions"),
        (JSONResponse({"status": "ok"}), "none of Responses, Chat Completions"),
        (JSONResponse({"object": "chat.completion", "choices": []}), "none of Responses, Chat Completions"),
        (JSONResponse({"error": "Bad Request"}, 400), "none of Responses, Chat Completions"),
        (PlainTextResponse("Client sent an HTTP request to an HTTPS server.", 400), "none of Responses"),
        (RedirectResponse("https://other.example/v1", 308), "redirected to https://other.example/v1: give that URL"),
        (HTMLResponse("<h1>502 Bad Gateway</h1>", 502), "502 an HTML page: 502 Bad Gateway: try again"),
        (JSONResponse({"error": {"message": "slow down"}}, 429), "429 slow down: try again"),
        (JSONResponse(None), "none of Responses"),
        (Response(b"\xff\xfe\x00", 200, media_type="application/json"), "none of Responses"),
        (PlainTextResponse("[" * 100_000, 400), "none of Responses"),
    ],
)
async def test_what_is_no_api_is_told(serve, reply, told):
    with pytest.raises(ServerUnusable) as raised:
        await discover(serve(everywhere(reply)))
    assert told in str(raised.value)
    assert len(str(raised.value)) < 800


async def test_a_server_that_refuses_all_with_400_for_lack_of_a_key_is_told(serve):
    async def refuse(request):
        return JSONResponse({"error": {"message": "No connected db.", "type": "no_db_connection"}}, 400)

    paths = ["/v1/responses", "/v1/chat/completions", "/v1/threads/{thread}", "/v1/models"]
    app = Starlette(routes=[Route(path, refuse, methods=["GET", "POST"]) for path in paths])
    with pytest.raises(ServerUnusable, match=r"answers 400 No connected db.*if it wants a key, name its variable with"):
        await discover(serve(app))


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
async def test_hostile_texts_of_a_server_change_no_settings(serve, text):
    async def refuse(request):
        return JSONResponse({"error": {"message": text}}, 400 if request.url.path.endswith("/completions") else 404)

    async def models(request):
        return JSONResponse({"data": [{"id": text}, {"id": f"{text}\n[endpoints.evil]"}, {"id": 7}, None]})

    routes = [Route("/v1/models", models), Route("/{path:path}", refuse, methods=["GET", "POST"])]
    found = await discover(serve(Starlette(routes=routes)), model=text)

    lines = settings_lines(found, "it", "MY_KEY")
    assert tomllib.loads(lines)["endpoints"].keys() == {"it"}
    assert Endpoint.model_validate(table(found)).kind == "chat"


async def test_a_host_without_a_name_and_a_closed_port_are_told():
    with pytest.raises(ServerUnusable, match="there is no such host"):
        await discover("http://nobody.invalid/v1")
    with pytest.raises(ServerUnusable, match="nothing listens there"):
        await discover(f"http://127.0.0.1:{free_port()}/v1")


async def test_a_server_that_never_answers_is_told():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(ServerUnusable, match=r"no complete reply in 0.2 s"):
            await discover(f"http://127.0.0.1:{port}", limit_s=0.2)


async def test_a_server_that_hangs_up_is_told():
    async def hang_up(reader, writer):
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ServerUnusable, match="the connection broke"):
            await discover(f"http://127.0.0.1:{port}")


async def test_a_certificate_that_is_not_trusted_and_a_server_without_tls_are_told(emulator, tmp_path):
    made = private(tmp_path)
    with (
        with_tls(int(emulator.url.rpartition(":")[2]), certificate=made.server, authority=made.authority) as port,
        pytest.raises(ServerUnusable, match="there is no secure connection: check the certificate"),
    ):
        await discover(f"https://127.0.0.1:{port}/v1")
    with pytest.raises(ServerUnusable, match=r"http:// in place of https://"):
        await discover(emulator.url.replace("http:", "https:"))


async def test_a_huge_reply_is_cut(serve):
    async def much():
        for _ in range(40):
            yield b"x" * 1_000_000

    with pytest.raises(ServerUnusable, match="more than 32000000 bytes"):
        await discover(serve(everywhere(lambda: StreamingResponse(much(), 200))))


async def test_a_key_that_a_server_repeats_is_not_shown(serve, monkeypatch):
    monkeypatch.setenv("MY_KEY", "mykey-0123456789")

    async def repeat(request):
        return JSONResponse({"error": {"message": f"got {request.headers['authorization']}"}}, 400)

    routes = [Route("/v1/chat/completions", repeat, methods=["POST"])]
    found = await discover(serve(Starlette(routes=routes)), "MY_KEY", model="m")

    assert "0123456789" not in repr(found)
    assert "[key]" in repr(found)
