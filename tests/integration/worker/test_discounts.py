"""Jobs in the lanes of ordinary runs, flex processing and completion windows, and in the service tier `priority`."""

from typing import Any

import pytest
from tests.emulated import CHAT

from threadmill import FailureKind, JobState
from threadmill.settings.prices import cost

pytestmark = [
    pytest.mark.integration,
    pytest.mark.endpoint(wire="responses", model="emulator-1", assistant=None, first_poll_s=0.05),
    pytest.mark.settings(tools={"weigh": "tests.integration.worker.test_discounts:weigh"}),
    pytest.mark.emulated(run_s=0.1),
]

FULL_PRICE = pytest.mark.endpoint(lane_fallback="full_price", unreachable_limit_s=0.2)
#: Tests of the tier run on each wire that has it.
ON_BOTH = pytest.mark.parametrize("wire", ["responses", pytest.param("chat", marks=pytest.mark.endpoint(**CHAT))])
LANES = ["flex", "within-2h", "within-8h"]

WINDOWS = {"within-2h": "2h", "within-8h": "8h"}


def weigh() -> str:
    return "3 kg"


def without(capability: str) -> pytest.MarkDecorator:
    return pytest.mark.emulated(without=frozenset({capability}))


def with_quirks(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.emulated(extras=frozenset(names))


def asked(emulator: Any) -> list[tuple[str | None, str | None]]:
    """The tier and the completion window of each request for an answer."""
    sent = [*emulator.sent("POST", "/responses"), *emulator.sent("POST", "/chat/completions")]
    bodies = [request.json for request in sent]
    windows = [(body.get("background_options") or {}).get("completion_window") for body in bodies]
    return [(body.get("service_tier"), window) for body, window in zip(bodies, windows, strict=True)]


@pytest.mark.parametrize("lane", LANES)
async def test_a_lane_takes_tools_and_a_kept_thread(lane, worker, emulator):
    kept = await worker.run("[[scenario=tools tool=weigh]]Well?", lane=lane, tools=["weigh"], keep_thread=True)
    again = await worker.run("And now?", lane=lane, thread=kept.thread_id)

    assert [(each.state, each.lane, each.full_price) for each in (kept, again)] == [
        (JobState.SUCCEEDED, lane, None)
    ] * 2
    assert "3 kg" in kept.text
    assert asked(emulator) == [("flex", None) if lane == "flex" else ("default", WINDOWS[lane])] * 3


@pytest.mark.parametrize("lane", LANES)
async def test_a_lane_takes_files(lane, worker, settings, tmp_path):
    object.__setattr__(settings, "file_roots", (tmp_path,))
    (tmp_path / "scale.txt").write_text("It weighs three kilograms.")
    result = await worker.run(
        "[[scenario=citations]]How many kilograms?", lane=lane, files=[str(tmp_path / "scale.txt")]
    )

    assert (result.state, result.lane) == (JobState.SUCCEEDED, lane)
    assert result.citations


async def test_a_flex_run_can_be_streamed(worker):
    result = await worker.run("Why?", lane="flex", stream=True)
    assert (result.state, result.lane) == (JobState.SUCCEEDED, "flex")


async def test_flex_without_capacity_is_asked_again_until_it_has_some(worker, emulator):
    result = await worker.run("[[flex_refusals=2]]Why?", lane="flex")

    assert (result.state, result.lane, result.runs) == (JobState.SUCCEEDED, "flex", 1)
    assert asked(emulator) == [("flex", None)] * 3


async def test_flex_without_capacity_fails_at_the_deadline_and_says_so(worker, emulator):
    result = await worker.run("[[scenario=no_flex_capacity]]Why?", lane="flex", timeout_s=1)

    assert (result.failure.kind, result.failure.retryable) == (FailureKind.OVERDUE, True)
    assert "the lane flex has no capacity now: 429 Resource Unavailable" in result.failure.message
    assert set(asked(emulator)) == {("flex", None)}


@FULL_PRICE
async def test_flex_without_capacity_falls_back_if_it_may(worker, emulator):
    result = await worker.run("[[scenario=no_flex_capacity]]Why?", lane="flex")

    assert (result.state, result.lane, result.runs) == (JobState.SUCCEEDED, None, 1)
    assert "no capacity" in result.full_price
    assert asked(emulator)[-1] == (None, None)


@pytest.mark.parametrize(
    ("lane", "named"),
    [
        pytest.param("flex", "Invalid service_tier argument", marks=without("flex")),
        pytest.param("within-2h", "background_options", marks=without("completion_windows")),
        pytest.param("within-8h", "background", marks=without("background")),
    ],
)
@pytest.mark.parametrize(
    "falls_back", [pytest.param(False, id="fails"), pytest.param(True, id="falls back", marks=FULL_PRICE)]
)
async def test_a_server_that_refuses_the_lane_is_asked_once(falls_back, lane, named, worker, emulator):
    result = await worker.run("Why?", lane=lane)

    if falls_back:
        assert (result.state, result.lane, named in result.full_price) == (JobState.SUCCEEDED, None, True)
        assert asked(emulator)[-1] == (None, None)
    else:
        assert (result.failure.kind, len(asked(emulator))) == (FailureKind.UNSUPPORTED, 1)
        assert named in result.failure.message
        assert "lane_fallback" in result.failure.message


@pytest.mark.parametrize(
    ("lane", "reason"),
    [
        pytest.param(
            "flex",
            "the server used its service tier default instead of the lane flex",
            marks=with_quirks("ignores_tiers"),
        ),
        pytest.param(
            "within-2h",
            "the server did not work in the background",
            marks=with_quirks("ignores_tiers", "ignores_background"),
        ),
    ],
)
async def test_an_answer_at_full_price_is_kept_and_the_result_says_so(lane, reason, worker):
    result = await worker.run("Why?", lane=lane)

    assert (result.state, result.lane) == (JobState.SUCCEEDED, None)
    assert reason in result.full_price


@pytest.mark.endpoint(supports={"background": False}, lane_fallback="full_price")
async def test_a_window_needs_an_endpoint_that_works_in_the_background(worker, emulator):
    result = await worker.run("Why?", lane="within-2h")

    assert (result.state, result.lane) == (JobState.SUCCEEDED, None)
    assert "works in the background" in result.full_price
    assert asked(emulator) == [(None, None)]


@ON_BOTH
@pytest.mark.settings(prices={"emulator-1": {"prompt": 1, "completion": 1, "priority_factor": 3}})
async def test_the_tier_priority_is_asked_for_in_each_round_and_counts_at_its_price(wire, worker, emulator, settings):
    fast = await worker.run("[[scenario=tools tool=weigh]]Well?", service_tier="priority", tools=["weigh"])
    usual = await worker.run("[[scenario=tools tool=weigh]]Well?", tools=["weigh"])

    assert [(each.state, each.service_tier, each.lane, each.full_price) for each in (fast, usual)] == [
        (JobState.SUCCEEDED, "priority", None, None),
        (JobState.SUCCEEDED, None, None, None),
    ]
    assert asked(emulator) == [("priority", None)] * 2 + [(None, None)] * 2
    spent = [cost(each.usage_by_model, settings.prices).amount for each in (fast, usual)]
    assert spent[0] == pytest.approx(3 * spent[1])


@ON_BOTH
async def test_a_run_of_another_tier_than_asked_for_counts_at_its_own_price(wire, worker):
    result = await worker.run("[[tier=default]]Why?", service_tier="priority")

    assert (result.state, result.service_tier) == (JobState.SUCCEEDED, None)
    assert result.full_price == "the server used its service tier default instead of the service tier priority"


@ON_BOTH
async def test_a_run_in_the_tier_of_its_project_counts_at_that_price(wire, worker):
    result = await worker.run("[[tier=priority]]Why?")
    assert (result.state, result.service_tier, result.full_price) == (JobState.SUCCEEDED, "priority", None)


@ON_BOTH
@without("priority")
@pytest.mark.parametrize(
    "falls_back", [pytest.param(False, id="fails"), pytest.param(True, id="falls back", marks=FULL_PRICE)]
)
async def test_a_server_that_refuses_the_tier_is_asked_once(falls_back, wire, worker, emulator):
    result = await worker.run("Why?", service_tier="priority")

    if falls_back:
        assert (result.state, result.service_tier) == (JobState.SUCCEEDED, None)
        assert "Invalid service_tier argument" in result.full_price
        assert asked(emulator) == [("priority", None), (None, None)]
    else:
        assert (result.failure.kind, len(asked(emulator))) == (FailureKind.UNSUPPORTED, 1)
        assert "leave out `service_tier`, or set lane_fallback" in result.failure.message


@pytest.mark.endpoint(**CHAT)
async def test_a_seed_is_sent_with_each_call(worker, emulator):
    result = await worker.run("[[scenario=tools tool=weigh]]Well?", seed=7, tools=["weigh"])

    assert result.ok
    assert [request.json["seed"] for request in emulator.sent("POST", "/chat/completions")] == [7, 7]
