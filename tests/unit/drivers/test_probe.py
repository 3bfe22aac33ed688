"""Which API a server speaks, by what real servers answer. `doctor` asks so, and no call makes anything."""

from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from tests.answering import client_of

from threadmill.job.result import FailureKind
from threadmill.settings.endpoints.endpoint import Endpoint
from threadmill_worker.drivers.assistants.remote_objects import AssistantsObjects
from threadmill_worker.drivers.http.api import Api
from threadmill_worker.drivers.http.client import Client
from threadmill_worker.drivers.responses.remote_objects import ResponsesObjects
from threadmill_worker.lifecycle.observations import Deleted, Rejected, Unknown

Answers = dict[str, tuple[int, Any]]  #: by method and path; the rest is `""`

NO_ROUTE = {"": (404, {"detail": "Not Found"})}  # FastAPI
CHAT = {"POST /chat/completions": (422, {"detail": [{"loc": ["body", "model"], "msg": "Field required"}]})}
OPENAI: Answers = {
    "": (404, {"error": {"message": "Invalid URL (POST /v1/threads)", "type": "invalid_request_error"}}),
    "GET /responses/resp_none": (404, {"error": {"message": "Response with id 'resp_none' not found."}}),
    "POST /responses": (400, {"error": {"message": "Missing required parameter: 'model'."}}),
}
ASSISTANTS_ONLY: Answers = {
    "": (404, {"error": {"message": "Invalid URL (GET /v1/responses/resp_none)"}}),
    "GET /threads/thread_none": (404, {"error": {"message": "No thread found with id 'thread_none'."}}),
    "POST /threads": (200, {"id": "thread_1", "object": "thread"}),
    "DELETE /threads/thread_1": (200, {"id": "thread_1", "deleted": True}),
}


def client(answers: Answers, asked: list[str]) -> Client:
    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(f"{request.method} {request.url.path.removeprefix('/v1')}")
        status, body = answers.get(asked[-1], answers[""])
        content = {"html": body} if isinstance(body, str) else {"json": body}
        return httpx2.Response(status, **content)

    return client_of(answer)


@pytest.fixture
def probe() -> Callable[..., Any]:
    async def probed(kind: str, answers: Answers, asked: list[str] | None = None) -> Any:
        endpoint = Endpoint(kind=kind, api_key_env=None, base_url="http://server/v1", assistant="asst_1")
        objects = {"responses": ResponsesObjects, "assistants": AssistantsObjects}[kind]
        return await objects(Api(client(answers, [] if asked is None else asked), endpoint), set()).probe()

    return probed


@pytest.mark.parametrize(
    "answers",
    [
        OPENAI,
        # LiteLLM: an id that it cannot decode is a bad request
        {**NO_ROUTE, "GET /responses/resp_none": (400, {"error": {"message": "Invalid response id"}})},
        # vLLM without a store
        {"": (405, {"detail": "Method Not Allowed"}), "POST /responses": (400, {"error": {"message": "input"}})},
        # Ollama
        {"": (404, "404 page not found"), "POST /responses": (400, {"error": {"message": "model is required"}})},
        # FastAPI's words for the id are those for a path
        {**NO_ROUTE, "POST /responses": (422, {"detail": [{"loc": ["body", "model"], "msg": "Field required"}]})},
    ],
    ids=["OpenAI", "LiteLLM", "vLLM", "Ollama", "FastAPI"],
)
async def test_a_server_of_responses_is_known(probe, answers):
    assert await probe("responses", answers) == Deleted()


@pytest.mark.parametrize(
    ("kind", "answers", "told"),
    [
        ("responses", {**NO_ROUTE, **CHAT}, '404 Not Found; this server speaks Chat Completions: set kind = "chat"'),
        ("responses", {"": (404, "<h1>Cannot POST /v1/responses</h1>"), **CHAT}, 'set kind = "chat"'),
        ("responses", {"": (200, "<html><title>My chat</title>"), **CHAT}, "200 an HTML page: My chat; "),
        (
            "responses",
            {"": (200, {"id": "c1", "object": "chat.completion"})},
            'speaks Chat Completions: set kind = "chat"',
        ),
        ("responses", ASSISTANTS_ONLY, 'set kind = "assistants"'),
        ("responses", NO_ROUTE, "at this base_url: check it"),
        ("assistants", OPENAI, "404 Invalid URL (POST /v1/threads); this server speaks the Responses API: set kind ="),
        ("assistants", {**NO_ROUTE, **CHAT}, 'set kind = "chat"'),
    ],
)
async def test_a_server_of_another_api_is_reported_with_its_api(probe, kind, answers, told):
    view = await probe(kind, answers)

    assert isinstance(view, Rejected)
    assert view.failure.kind is FailureKind.UNSUPPORTED
    assert told in view.failure.message


async def test_a_server_of_assistants_is_known(probe):
    assert await probe("assistants", ASSISTANTS_ONLY) == Deleted()


async def test_a_wrong_key_and_a_broken_server_are_reported_as_such(probe):
    view = await probe("responses", {"": (401, {"error": {"message": "Incorrect API key provided"}})})
    assert (type(view), view.failure.kind) == (Rejected, FailureKind.UNAUTHORISED)
    assert isinstance(await probe("responses", {"": (502, "<html><title>Bad Gateway</title>")}), Unknown)


async def test_a_probe_makes_nothing(probe):
    asked: list[str] = []
    await probe("responses", {**NO_ROUTE, **CHAT}, asked)

    assert asked == [
        "GET /responses/resp_none",
        "POST /responses",
        "POST /responses",
        "GET /threads/thread_none",
        "POST /chat/completions",
    ]
