"""Service tiers and completion windows of responses, as OpenAI's specification has them."""

from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from threadmill_emulator.scripting.options import Options
from threadmill_emulator.testing import Running, running

pytestmark = pytest.mark.integration

PLAIN = {"model": "emulator", "input": "Hello", "background": True}
WINDOW = PLAIN | {"background_options": {"completion_window": "2h"}}
FLEX = PLAIN | {"service_tier": "flex"}
PRIORITY = PLAIN | {"service_tier": "priority"}
NO_TIER = "Invalid service_tier argument: The requested service tier is not allowed for this project."


def post(server: Running, body: Mapping[str, Any], path: str = "responses") -> httpx.Response:
    return httpx.post(f"{server.base_url}/{path}", headers={"Authorization": "Bearer k"}, json=body)


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"background": False}, "background_options.completion_window"),
        ({"service_tier": "flex"}, "background_options.completion_window"),
        ({"stream": True}, "background_options.completion_window"),
        ({"background_options": {"completion_window": "24h"}}, "background_options.completion_window"),
        ({"background_options": {"window": "2h"}}, "background_options.window"),
        ({"service_tier": "cheap"}, "service_tier"),
    ],
)
def test_a_completion_window_has_its_conditions(changes: dict[str, Any], param: str):
    with running(Options(run_s=0)) as server:
        taken, refused = post(server, WINDOW), post(server, WINDOW | changes)

    assert (taken.status_code, taken.json()["service_tier"]) == (200, "auto")
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, param)


@pytest.mark.parametrize(
    ("lacking", "body", "message"),
    [
        ("flex", FLEX, NO_TIER),
        ("priority", PRIORITY, NO_TIER),
        ("priority", PLAIN | {"service_tier": "fast"}, NO_TIER),
        ("completion_windows", WINDOW, "Unknown parameter: 'background_options'."),
    ],
)
def test_a_server_without_them_refuses_them(lacking: str, body: dict[str, Any], message: str):
    with running(Options(run_s=0, without=frozenset({lacking}))) as server:
        refused = post(server, body)

    assert (refused.status_code, refused.json()["error"]["message"]) == (400, message)


def test_flex_processing_is_refused_until_it_has_capacity():
    waiting = {"input": "[[flex_refusals=2]]Hello"}
    with running(Options(run_s=0)) as server:
        replies = [post(server, each | waiting) for each in (FLEX, PLAIN, FLEX, FLEX)]

    assert [reply.status_code for reply in replies] == [429, 200, 429, 200]
    assert replies[0].json()["error"]["code"] == "resource_unavailable"
    assert replies[3].json()["service_tier"] == "flex"


@pytest.mark.parametrize("tier", ["priority", "fast"])
def test_the_faster_tier_has_two_names_and_may_not_be_available(tier: str):
    with running(Options(run_s=0)) as server:
        replies = [
            post(server, PRIORITY | {"service_tier": tier, "input": text}) for text in ("Hi", "[[tier=default]]Hi")
        ]

    assert [reply.json()["service_tier"] for reply in replies] == ["priority", "default"]


def test_chat_completions_have_the_same_tiers():
    chat = {"model": "emulator", "messages": [{"role": "user", "content": "Hi"}], "service_tier": "fast"}
    with running(Options(run_s=0)) as server, running(Options(run_s=0, without=frozenset({"priority"}))) as other:
        taken, refused = post(server, chat, "chat/completions"), post(other, chat, "chat/completions")

    assert taken.json()["service_tier"] == "priority"
    assert (refused.status_code, refused.json()["error"]["message"]) == (400, NO_TIER)


@pytest.mark.parametrize("body", [FLEX, PRIORITY, WINDOW])
def test_a_server_that_ignores_them_shows_the_default_tier(body: dict[str, Any]):
    with running(Options(run_s=0, extras=frozenset({"ignores_tiers"}))) as server:
        reply = post(server, body)

    assert (reply.status_code, reply.json()["service_tier"]) == (200, "default")
