"""Limits of the server, as its clients meet them. The clock moves only when a test moves it."""

from collections.abc import Iterator

import httpx
import openai
import pytest
from openai import OpenAI
from tests.integration.emulator.conftest import Clock

from threadmill_emulator.scripting.limits import Limits
from threadmill_emulator.scripting.options import Options
from threadmill_emulator.testing import Running, running

pytestmark = pytest.mark.integration

HEADERS = {"Authorization": "Bearer k", "OpenAI-Beta": "assistants=v2"}


CLOCK = Clock(1_000_000.0)
OPTIONS = Options(run_s=10)


@pytest.fixture
def http(server: Running) -> Iterator[httpx.Client]:
    server.emulator.reset()
    with httpx.Client(base_url=server.url, headers=HEADERS) as http:
        yield http


def limit(http: httpx.Client, **limits: object) -> None:
    http.post("/_limits", json=limits).raise_for_status()


def respond(http: httpx.Client, text: str = "hi", model: str = "m", **rest: object) -> httpx.Response:
    headers = {"Authorization": f"Bearer {rest.pop('key', 'k')}"}
    body = {"model": model, "input": text, "background": True, **rest}
    return http.post("/v1/responses", json=body, headers=headers)


def run(http: httpx.Client, text: str = "hi", **rest: object) -> httpx.Response:
    thread = {"messages": [{"role": "user", "content": text}]}
    return http.post("/v1/threads/runs", json={"assistant_id": "asst_tools", "thread": thread, **rest})


def test_without_limits_nothing_is_refused_and_nothing_is_told(http: httpx.Client):
    replies = [respond(http) for _ in range(50)]
    assert {reply.status_code for reply in replies} == {200}
    assert not any(name.startswith("x-ratelimit") for name in replies[0].headers)
    assert http.get("/_stats").json()["limits"] == {"accepted": 50, "refused": 0}


def test_more_requests_than_the_limit_are_refused_until_the_time_that_the_reply_says(
    http: httpx.Client, server: Running, clock: Clock
):
    limit(http, requests_per_minute=120)
    with OpenAI(base_url=server.base_url, api_key="k", max_retries=0) as client:
        for _ in range(2):
            client.responses.create(model="m", input="hi", background=True)
        with pytest.raises(openai.RateLimitError, match="Please try again in 500ms") as refused:
            client.responses.create(model="m", input="hi", background=True)
        assert refused.value.code == "rate_limit_exceeded"
        told = refused.value.response.headers
        assert (told["Retry-After"], told["retry-after-ms"]) == ("1", "500")
        assert (told["x-ratelimit-limit-requests"], told["x-ratelimit-remaining-requests"]) == ("120", "118")
        clock.now += 0.5
        client.responses.create(model="m", input="hi", background=True)


def test_each_key_and_model_has_its_own_limits(http: httpx.Client):
    limit(http, requests_per_minute=60)
    first, other_model, other_key = respond(http), respond(http, model="n"), respond(http, key="other")
    assert {reply.status_code for reply in (first, other_model, other_key)} == {200}
    assert respond(http).status_code == 429
    limit(http, per_model=False)
    assert [respond(http, model=model).status_code for model in ("o", "p")] == [200, 429]
    accounts = http.get("/_limits").json()["accounts"]
    assert [(each["key"], each["model"], each["refused"]) for each in accounts] == [
        (1, "m", 1),
        (1, "n", 0),
        (2, "m", 0),
        (1, "", 1),
    ]


def test_refused_requests_count_only_if_asked(http: httpx.Client, clock: Clock):
    limit(http, requests_per_minute=60)
    assert [respond(http).status_code for _ in range(4)] == [200, 429, 429, 429]
    clock.now += 1
    assert respond(http).status_code == 200
    limit(http, count_refused=True)
    assert [respond(http).status_code for _ in range(3)] == [429, 429, 429]
    clock.now += 3
    assert respond(http).status_code == 429


def test_polls_count_only_if_asked(http: httpx.Client):
    limit(http, requests_per_minute=60)
    path = f"/v1/responses/{respond(http).json()['id']}"
    assert {http.get(path).status_code for _ in range(5)} == {200}
    limit(http, count_all=True)
    assert [http.get(path).status_code for _ in range(2)] == [200, 429]
    assert respond(http).status_code == 429


def test_a_refused_run_leaves_no_thread(http: httpx.Client):
    limit(http, requests_per_minute=60)
    assert [run(http).status_code for _ in range(2)] == [200, 429]
    assert http.get("/_stats").json()["threads"] == {"alive": 1, "created": 2}


def test_submitted_outputs_count_and_a_refused_submission_changes_nothing(http: httpx.Client, clock: Clock):
    limit(http, requests_per_minute=60)
    started = run(http).json()
    path = f"/v1/threads/{started['thread_id']}/runs/{started['id']}"
    clock.now += 10
    assert run(http).status_code == 200
    (call,) = http.get(path).json()["required_action"]["submit_tool_outputs"]["tool_calls"]
    outputs = {"tool_outputs": [{"tool_call_id": call["id"], "output": "x"}]}
    assert http.post(f"{path}/submit_tool_outputs", json=outputs).status_code == 429
    assert http.get(path).json()["status"] == "requires_action"
    clock.now += 1
    assert http.post(f"{path}/submit_tool_outputs", json=outputs).status_code == 200


def test_tokens_are_charged_by_estimate_and_settled_by_use(http: httpx.Client, clock: Clock):
    limit(http, tokens_per_minute=6000, burst_s=60)
    charged = respond(http, "[[used_tokens=900 run_s=1]] hi", max_output_tokens=3000)
    assert charged.headers["x-ratelimit-remaining-tokens"] == "3000"
    refused = respond(http, max_output_tokens=3001)
    assert "on tokens per min (TPM): Limit 6000" in refused.json()["error"]["message"]
    clock.now += 1
    http.get("/_limits")  # the response ends
    assert respond(http, max_output_tokens=16).headers["x-ratelimit-remaining-tokens"] == "5184"


def test_the_use_of_a_run_replaces_its_estimate(http: httpx.Client, clock: Clock):
    limit(http, tokens_per_minute=60_000)
    assert run(http, "[[scenario=echo used_tokens=900]]", max_completion_tokens=256).status_code == 200
    clock.now += 10
    assert http.get("/_stats").json()["runs"]["by_status"] == {"completed": 1}
    assert respond(http, model="emulator-1", max_output_tokens=50).headers["x-ratelimit-remaining-tokens"] == "59306"


def test_runs_in_flight_are_limited(http: httpx.Client, clock: Clock):
    limit(http, concurrency=2)
    assert [respond(http).status_code for _ in range(3)] == [200, 200, 429]
    clock.now += 10
    assert respond(http).status_code == 200
    (account,) = http.get("/_limits").json()["accounts"]
    assert (account["in_flight"], account["peak"], account["refused"]) == (1, 2, 1)


def test_limits_change_meanwhile_and_only_those_named(http: httpx.Client, clock: Clock):
    limit(http, requests_per_minute=600, rate_headers="none")
    assert sum(respond(http).status_code == 200 for _ in range(20)) == 10
    limit(http, requests_per_minute=300)
    clock.now += 1
    assert sum(respond(http).status_code == 200 for _ in range(20)) == 5
    assert http.get("/_limits").json()["limits"]["rate_headers"] == "none"
    limit(http, requests_per_minute=None)
    assert {respond(http).status_code for _ in range(20)} == {200}


def test_the_times_of_accepted_starts_are_shown_on_request(http: httpx.Client, clock: Clock):
    began = clock.now
    respond(http)
    clock.now += 1.5
    respond(http)
    assert "starts" not in http.get("/_limits").json()["accounts"][0]
    assert http.get("/_limits?starts=1").json()["accounts"][0]["starts"] == [began, began + 1.5]


@pytest.mark.parametrize("body", [{"requests_per_minute": 0}, {"nope": 1}, [], {"rate_headers": "x"}])
def test_wrong_limits_are_refused(http: httpx.Client, body: object):
    assert http.post("/_limits", json=body).status_code == 400


def test_a_reset_restores_the_limits_of_the_start(clock: Clock):
    with running(Options(limits=Limits(requests_per_minute=60)), clock) as server, httpx.Client() as http:
        http.post(f"{server.url}/_limits", json={"requests_per_minute": 120})
        http.post(f"{server.url}/_reset")
        assert http.get(f"{server.url}/_limits").json()["limits"]["requests_per_minute"] == 60
