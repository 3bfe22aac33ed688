"""The lanes of ordinary runs, and the tier `priority`, on the wire: what a request asks for, and which refusals are
about that.
"""

from typing import Any

import httpx2
import openai
import pytest

from threadmill_worker.drivers.replies.errors import Target, call_error_of
from threadmill_worker.drivers.requests.tiers import fields_of, in_lane
from threadmill_worker.lifecycle.observations import LaneClosed

TIER = "Invalid service_tier argument: The requested service tier is not allowed for this project."
BUSY = {"message": "Resource Unavailable", "code": "resource_unavailable"}


def test_what_a_request_asks_for():
    assert fields_of(None, "job") == fields_of("batch", "job") == {}
    assert fields_of("flex", "job") == {"service_tier": "flex"}
    assert fields_of("priority", "job") == {"service_tier": "priority"}
    assert fields_of("within-2h", "job") == {
        "service_tier": "default",
        "background_options": {"completion_window": "2h", "continuation_id": "job"},
    }
    assert fields_of("within-8h", "job")["background_options"]["completion_window"] == "8h"


def seen(status: int, error: Any, lane: str | None, **headers: str) -> Any:
    request = httpx2.Request("POST", "http://server/v1/responses")
    reply = httpx2.Response(status, json={"error": error}, headers=headers, request=request)
    raised = openai.OpenAI(api_key="none", base_url="http://server/v1")._make_status_error_from_response(reply)
    return in_lane(call_error_of(raised, Target.RUNS), raised, lane)


@pytest.mark.parametrize(
    ("status", "error", "lane", "passes"),
    [
        (429, BUSY, "flex", True),
        (429, {"message": "429 Resource Unavailable"}, "flex", True),
        (498, {"message": "x", "code": "capacity_exceeded"}, "flex", True),
        (400, {"message": TIER, "param": "service_tier"}, "flex", False),
        (500, {"message": TIER}, "flex", False),
        (400, {"message": TIER, "param": "service_tier"}, "priority", False),
        (422, [{"loc": ["body", "service_tier"], "msg": "Input should be 'auto' or 'default'"}], "priority", False),
        (422, [{"loc": ["body", "service_tier"], "msg": "Input should be 'auto' or 'default'"}], "flex", False),
        (400, {"message": "Unknown parameter: 'background_options'."}, "within-2h", False),
        (400, {"message": "x", "param": "background_options.completion_window"}, "within-8h", False),
        (400, {"message": "Unsupported parameter: 'background'"}, "within-8h", False),
    ],
)
def test_a_refusal_of_the_lane(status, error, lane, passes):
    closed = seen(status, error, lane)

    assert isinstance(closed, LaneClosed)
    assert closed.passes is passes
    assert f"the {'service tier' if lane == 'priority' else 'lane'} {lane}" in closed.reason
    assert str(status) in closed.reason


@pytest.mark.parametrize(
    ("status", "error", "lane"),
    [
        (429, BUSY, None),
        (429, BUSY, "priority"),
        (400, {"message": TIER}, None),
        (429, {"message": "Rate limit reached for service_tier flex", "code": "rate_limit_exceeded"}, "flex"),
        (400, {"message": "Invalid 'tools'"}, "flex"),
        (400, {"message": "Unsupported parameter: 'background'"}, "flex"),
        (401, {"message": "Incorrect API key"}, "within-2h"),
        (500, {"message": "Sorry about that"}, "within-2h"),
        (500, {"message": "The background task failed"}, "within-2h"),
    ],
)
def test_any_other_refusal_keeps_its_meaning(status, error, lane):
    assert not isinstance(seen(status, error, lane), LaneClosed)


def test_the_server_says_how_long_to_wait_for_capacity():
    assert seen(429, BUSY, "flex", **{"retry-after": "20"}).retry_after_s == 20
