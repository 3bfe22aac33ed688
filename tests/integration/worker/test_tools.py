"""Tool calls that go to the platform's plugin API: whatever becomes of them, the run gets its outputs."""

import asyncio
import json
import time

import pytest

from threadmill import FailureKind, JobState

pytestmark = pytest.mark.integration


async def test_a_call_goes_to_the_plugin_api_as_the_model_wrote_it(worker, emulator):
    result = await worker.run("[[scenario=tools]]\nBrötchen?", assistant="asst_echo")

    assert result.state is JobState.SUCCEEDED
    [plugin] = emulator.sent("POST", "/pluginapi")
    [run] = emulator.sent("POST", "/runs")
    thread = run.path.split("/")[2]
    assert plugin.query == {"tid": thread, "aid": "asst_echo", "pid": "SEARCH"}
    assert plugin.json == {"query": {"text": "Brötchen?", "number": 1}}
    assert "Brötchen" in plugin.body.decode(), "passed on unmodified"
    [output] = emulator.tool_outputs()
    assert output.startswith("Emulated search results for: Brötchen?")
    assert emulator.threads() == 0


@pytest.mark.parametrize("ahead_s", [-900, 900])
async def test_tools_have_their_time_on_a_server_whose_clock_is_wrong(worker, emulator, ahead_s):
    emulator.emulator._clock = lambda: time.time() + ahead_s
    emulator.emulator.reset()
    result = await worker.run("[[scenario=tools]]\nBread?", assistant="asst_echo")

    assert (result.state, result.runs) == (JobState.SUCCEEDED, 1)
    [output] = emulator.tool_outputs()
    assert output.startswith("Emulated search results for: Bread?")


async def test_a_big_output_is_cut_with_a_marker_that_says_so(worker, emulator):
    await worker.run("[[scenario=tools tool=BIG]]\nWell?")

    [output] = emulator.tool_outputs()
    assert len(output) == 8000
    assert output.endswith("\n[cut: the output has 20000 characters]")


@pytest.mark.endpoint(tool_output_limit_chars=20_000)
async def test_the_limit_of_an_output_is_the_endpoints(worker, emulator):
    await worker.run("[[scenario=tools tool=BIG]]\nWell?")

    assert [len(output) for output in emulator.tool_outputs()] == [20_000]


async def test_a_failing_plugin_is_reported_to_the_model(worker, emulator):
    result = await worker.run("[[scenario=tools tool=FAIL]]\nWell?")

    assert result.state is JobState.SUCCEEDED
    [output] = emulator.tool_outputs()
    assert output.startswith("The tool FAIL failed: HTTP 500")
    assert "The plugin failed." in output


@pytest.mark.endpoint(tool_timeout_s=0.4)
async def test_only_the_plugin_that_does_not_answer_is_abandoned(worker, emulator):
    result = await worker.run("[[scenario=tools tool=SLOW]]\nWell?")

    assert result.state is JobState.SUCCEEDED
    assert emulator.tool_outputs() == ["The tool SLOW failed: it did not answer within 0.4 s"]


async def test_a_json_answer_is_passed_on_as_it_is(worker, emulator):
    await worker.run("[[scenario=tools tool=JSON]]\nWell?")

    [output] = emulator.tool_outputs()
    assert json.loads(output) == {"function": "JSON", "arguments": {"query": {"text": "Well?", "number": 1}}}


async def test_arguments_that_are_not_json_are_reported_to_the_model(worker, emulator):
    result = await worker.run(assistant="asst_bad_arguments")

    assert result.state is JobState.SUCCEEDED
    [output] = emulator.tool_outputs()
    assert output.startswith("The tool SEARCH failed: the arguments are not JSON")
    assert emulator.sent("POST", "/pluginapi") == []


async def test_a_name_we_do_not_have_is_the_platforms_business(worker, emulator):
    await worker.run(assistant="asst_unknown_tool")

    assert emulator.stats()["plugin_calls"] == {"no_such_tool": 1}


@pytest.mark.endpoint(kind="assistants", assistant="asst_unknown_tool")
async def test_without_plugins_an_unknown_tool_is_reported_to_the_model(worker, emulator):
    result = await worker.run()

    assert result.state is JobState.SUCCEEDED
    assert emulator.tool_outputs() == ["The tool no_such_tool failed: there is no tool of this name; there is: none"]
    assert emulator.sent("POST", "/pluginapi") == []


async def test_the_calls_of_a_round_run_together_and_return_in_one_request(worker, emulator):
    await worker.run("[[scenario=tools tool=SLOW calls=3]]\nWell?", assistant="asst_tools", timeout_s=0.6)
    assert len(emulator.sent("POST", "/pluginapi")) == 3, "none waits for another"

    await worker.run(assistant="asst_parallel_tools")
    [submit] = emulator.sent("POST", "/submit_tool_outputs")
    assert len({each["tool_call_id"] for each in submit.json["tool_outputs"]}) == 3


async def test_calls_the_server_is_still_writing_are_waited_for(worker, emulator):
    result = await worker.run("[[scenario=slow_requires looks=3]]\nWell?")

    assert result.state is JobState.SUCCEEDED
    assert len(emulator.tool_outputs()) == 1


@pytest.mark.parametrize("scenario", ["tool_rounds", "empty_required_action"])
async def test_each_round_of_tools_is_answered_once(worker, emulator, scenario):
    result = await worker.run(assistant=f"asst_{scenario}")

    assert (result.state, result.runs) == (JobState.SUCCEEDED, 1)
    asked = {"tool_rounds": 3, "empty_required_action": 1}[scenario]
    assert emulator.stats()["tool_outputs"] == {"submitted": asked, "call_ids": asked, "most_for_one_call_id": 1}


@pytest.mark.endpoint(max_tool_rounds=2)
async def test_a_run_that_asks_for_tools_without_end_is_stopped(worker, emulator):
    result = await worker.run("[[scenario=tools n=10]]\nWell?")

    assert (result.state, result.failure.kind) == (JobState.FAILED, FailureKind.TOOL_FAILED)
    assert "raise max_tool_rounds" in result.failure.message
    assert emulator.stats()["tool_outputs"]["submitted"] == 2
    assert emulator.stats()["runs"]["by_status"] == {"cancelled": 1}
    assert emulator.threads() == 0


async def test_a_plugin_call_whose_answer_was_lost_is_not_made_again(worker, emulator):
    emulator.faults(drop_after=1, times=1, only="plugin.call")
    result = await worker.run(assistant="asst_tools")

    assert result.state is JobState.SUCCEEDED
    assert emulator.stats()["plugin_calls"] == {"SEARCH": 1}
    [output] = emulator.tool_outputs()
    assert output.startswith("The tool SEARCH failed: ")


@pytest.mark.endpoint(tool_timeout_s=0.7)
async def test_a_run_that_expires_during_its_tools_is_repeated(worker, emulator):
    prompt = "[[scenario=tools tool=SLOW expires_s=0.5 times=1 quirks=no_expires_at]]\nWell?"
    result = await asyncio.wait_for(worker.run(prompt), 15)

    assert (result.state, result.runs) == (JobState.SUCCEEDED, 2)
    assert emulator.stats()["runs"]["by_status"] == {"expired": 1, "completed": 1}
    assert emulator.threads() == 0


@pytest.mark.endpoint(max_reruns=1)
async def test_a_run_that_takes_outputs_and_then_expires_is_started_again(worker, emulator):
    prompt = "[[scenario=tools expires_s=0.3 run_s=0.8 times=1 quirks=late_expiry,no_expires_at]]\nWell?"
    result = await worker.run(prompt)

    assert (result.state, result.runs) == (JobState.SUCCEEDED, 2)
    assert emulator.stats()["runs"]["by_status"] == {"expired": 1, "completed": 1}


async def test_no_tool_starts_when_its_run_is_about_to_expire(worker, emulator):
    result = await worker.run("[[scenario=tools expires_s=2]]\nWell?")

    assert result.state is JobState.SUCCEEDED
    assert emulator.sent("POST", "/pluginapi") == []
    assert emulator.tool_outputs() == ["The tool SEARCH failed: there was no time left for it"]
