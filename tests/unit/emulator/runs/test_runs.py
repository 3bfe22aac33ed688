"""The life of a run as a function of time and of what the client sends."""

import pytest

from threadmill_emulator.content.messages import Prompt
from threadmill_emulator.errors.api_error import ApiError
from threadmill_emulator.runs.run import Run
from threadmill_emulator.scripting.markers import script_for, without_markers
from threadmill_emulator.scripting.scenarios import SCENARIOS, apply_settings

SETTINGS = {"tools": [], "tool_choice": "auto", "parallel_tool_calls": True, "instructions": ""}


def run(marker: str = "scenario=emulator", **settings: object) -> Run:
    script = script_for("asst_emulator", f"[[{marker}]]")
    given = SETTINGS | settings
    return Run("thread_1", "asst_1", 100.0, 10.0, apply_settings(script, given), Prompt("hi"), given, {})


def status(run: Run, now: float) -> str:
    run.advance(now)
    return run.status


def submit_all(run: Run, now: float) -> None:
    run.submit({call.id: "out" for call in run.rounds[-1].calls}, now)


def test_a_plain_run_is_queued_for_a_tenth_of_its_time():
    plain = run()
    assert [status(plain, now) for now in (100, 100.9, 101, 109.9, 110)] == [
        "queued",
        "queued",
        "in_progress",
        "in_progress",
        "completed",
    ]
    assert (plain.started, plain.ended) == (101.0, 110.0)


def test_a_late_look_makes_up_for_all_that_happened():
    late = run()
    assert status(late, 999) == "completed"
    assert late.ended == 110.0


def test_tool_rounds_share_the_working_time():
    rounds = run("scenario=tool_rounds n=4")
    now = 100.0
    for _ in range(4):
        now += 2
        assert status(rounds, now) == "requires_action"
        submit_all(rounds, now)
        assert rounds.status == "queued"
    assert status(rounds, now + 1.9) == "in_progress"
    assert status(rounds, now + 2) == "completed"


def test_late_expiry_takes_the_outputs_and_then_expires():
    late = run("scenario=late_expiry expires_s=20")
    assert status(late, 200) == "requires_action"
    submit_all(late, 200)
    assert late.status == "queued"
    assert status(late, 200) == "expired"


def test_parallel_tool_calls_false_makes_rounds_of_one():
    serial = run("scenario=parallel_tools", parallel_tool_calls=False)
    serial.advance(105)
    assert len(serial.rounds[-1].calls) == 1
    assert serial.script.rounds == 3


def test_tool_choice_is_obeyed():
    assert status(run("scenario=tools", tool_choice="none"), 110) == "completed"
    assert status(run(tool_choice="required"), 110) == "requires_action"
    named = run(tool_choice={"type": "function", "function": {"name": "BIG"}})
    assert status(named, 110) == "requires_action"
    assert named.rounds[0].calls[0].name == "BIG"


def test_the_marker_wins_over_the_assistant():
    assert script_for("asst_echo", "no marker") == SCENARIOS["echo"]
    assert script_for("asst_echo", "a [[scenario=tools]] b") == SCENARIOS["tools"]
    script = script_for("asst_echo", "[[run_s=5 scenario=tools tool=BIG]]")
    assert (script.run_s, script.tool, script.rounds) == (5.0, "BIG", 1)
    assert script_for("asst_0123", "see [[Some wiki page]] and [[x=y]]") == SCENARIOS["emulator"]
    assert without_markers("[[scenario=tools]]\nhello") == "hello"


@pytest.mark.parametrize(
    "marker", ["scenario=nope", "scenario=tools run_s=soon", "run_s=inf", "quirks=nope", "lock=perhaps", "times=1 x=2"]
)
def test_an_unknown_marker_is_refused(marker: str):
    with pytest.raises(ApiError, match="no scenario marker"):
        script_for("asst_emulator", f"[[{marker}]]")
