"""Faults on demand, as a client meets them."""

import time
from collections import Counter

import httpx
import openai
import pytest
from openai import OpenAI

from threadmill_emulator.scripting.faults import KINDS
from threadmill_emulator.scripting.options import Options
from threadmill_emulator.testing import Running, running

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:.*Assistants API is deprecated.*:DeprecationWarning"),
]
OPTIONS = Options(run_s=0)

HEADERS = {"Authorization": "Bearer k", "OpenAI-Beta": "assistants=v2"}


def plan(server: Running, **faults: object) -> None:
    response = httpx.post(f"{server.url}/_faults", json=faults)
    assert response.status_code == 200, response.text


def threads(server: Running) -> int:
    return len(server.emulator.state.threads)


def test_drop_before_closes_the_connection_without_acting(http: httpx.Client, server: Running):
    plan(server, drop_before=1)
    with pytest.raises(httpx.RemoteProtocolError, match="disconnected without sending a response"):
        http.post("/threads")
    assert threads(server) == 0


def test_drop_after_acts_first_and_the_openai_package_sees_a_connection_error(http: httpx.Client, server: Running):
    plan(server, drop_after=1, times=1, only="threads.create")
    with (
        OpenAI(base_url=server.base_url, api_key="k", max_retries=0) as client,
        pytest.raises(openai.APIConnectionError),
    ):
        client.beta.threads.create()
    assert threads(server) == 1
    assert http.post("/threads").status_code == 200


@pytest.mark.parametrize(
    ("fault", "status", "type", "code"),
    [
        ("error_500", 500, "server_error", None),
        ("error_503", 503, "service_unavailable_error", "server_is_overloaded"),
        ("rate_limit_429", 429, "invalid_request_error", "rate_limit_exceeded"),
        ("unauthorised", 401, "invalid_request_error", "invalid_api_key"),
    ],
)
def test_errors(http: httpx.Client, server: Running, fault: str, status: int, type: str, code: str | None):
    plan(server, **{fault: 1})
    response = http.post("/threads")
    error = response.json()["error"]
    assert (response.status_code, error["type"], error["code"]) == (status, type, code)
    assert response.headers["x-request-id"]
    assert threads(server) == 0


def test_retry_after_is_sent_unless_null(http: httpx.Client, server: Running):
    plan(server, rate_limit_429=1, retry_after_s=2.5)
    assert http.get("/models").headers["retry-after"] == "2.5"
    plan(server, rate_limit_429=1, retry_after_s=None)
    assert "retry-after" not in http.get("/models").headers


def test_answers_that_are_no_json(http: httpx.Client, server: Running):
    plan(server, malformed=1)
    response = http.post("/threads")
    assert response.status_code == 200
    with pytest.raises(ValueError, match=r"Expecting|Unterminated|Extra"):
        response.json()
    assert threads(server) == 1
    plan(server, html=1)
    response = http.post("/threads")
    assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
    plan(server, plain_500=1)
    response = http.post("/threads")
    assert (response.status_code, response.text) == (500, "Internal Server Error")
    assert threads(server) == 1


def test_slow_answers_come_late(http: httpx.Client, server: Running):
    plan(server, slow=1, slow_s=0.2, times=1)
    began = time.monotonic()
    assert http.post("/threads").status_code == 200
    assert time.monotonic() - began >= 0.2


def test_only_and_times_narrow_a_fault(http: httpx.Client, server: Running):
    plan(server, error_500=1, times=2, only="threads.retrieve, threads.delete")
    id = http.post("/threads").json()["id"]
    assert [http.get(f"/threads/{id}").status_code for _ in range(3)] == [500, 500, 200]
    assert httpx.get(f"{server.url}/_faults").json()["injected"] == {"error_500": 2}
    plan(server)
    assert httpx.get(f"{server.url}/_faults").json()["injected"] == {}


def test_rates_are_about_right_and_the_same_for_the_same_seed():
    def statuses() -> list[int]:
        plan = {"error_500": 0.2, "error_503": 0.2}
        with running(Options(seed=7)) as server, httpx.Client(base_url=server.url, headers=HEADERS) as http:
            http.post("/_faults", json=plan)
            return [http.get("/v1/models").status_code for _ in range(100)]

    first = statuses()
    assert statuses() == first
    counted = Counter(first)
    assert counted[500] + counted[503] + counted[200] == 100
    assert 10 <= counted[500] <= 35
    assert 5 <= counted[503] <= 35


def test_every_kind_can_be_planned_and_controls_are_never_hit(server: Running):
    plan(server, **dict.fromkeys(KINDS, 1))
    assert httpx.get(f"{server.url}/_stats").status_code == 200
    shown = httpx.get(f"{server.url}/_faults").json()
    assert all(shown[kind] == 1 for kind in KINDS)
    assert httpx.post(f"{server.url}/_reset").status_code == 200
    assert httpx.get(f"{server.url}/_faults").json()["drop_before"] == 0


@pytest.mark.parametrize("body", ['{"error_500": 2}', '{"nope": 1}', '{"only": "runs.nope"}', "{"])
def test_a_plan_that_makes_no_sense_is_refused(server: Running, body: str):
    response = httpx.post(f"{server.url}/_faults", content=body)
    assert response.status_code == 400
    assert response.json()["error"]["message"]
