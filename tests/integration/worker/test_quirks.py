"""Deviations of two independent servers lead to the right result, or to the right failure."""

import asyncio

import pytest

from threadmill import FailureKind, JobState
from threadmill.job.result import Usage

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("quirk", ["late_submit_404", "late_submit_500"])
async def test_outputs_whose_reply_was_lost_are_not_taken_for_refused_ones(quirk, worker, emulator):
    emulator.faults(drop_after=1, only="runs.submit_tool_outputs", times=1)
    result = await worker.run(f"[[scenario=tools quirks={quirk}]]Well?")

    assert (result.state, result.runs) == (JobState.SUCCEEDED, 1)
    assert "SEARCH answered" in result.text


async def test_a_vanished_thread_reported_as_server_error_becomes_a_leftover(worker, emulator, until):
    """OpenOpenAI: nobody can tell it from trouble that passes; the thread is a leftover in the end."""
    job = worker.create("[[quirks=plain_not_found run_s=30]]Well?", timeout_s=1)
    running = asyncio.create_task(worker.see_through(job))
    await asyncio.to_thread(until, lambda: emulator.sent("POST", "/runs"))
    [thread] = emulator.stats(ids="1")["threads"]["ids"]
    emulator.call("DELETE", f"/threads/{thread}", None)
    result = await running

    assert result.failure.kind is FailureKind.OVERDUE
    assert [each.id for each in worker.client.leftovers()] == [thread]


async def test_a_run_failed_by_a_second_run_makes_the_job_start_over(worker, emulator, until):
    job = worker.create("[[quirks=no_lock run_s=0.6]]Well?")
    running = asyncio.create_task(worker.see_through(job))
    await asyncio.to_thread(until, lambda: emulator.sent("GET", ""))
    [thread] = emulator.stats(ids="1")["threads"]["ids"]
    emulator.call("POST", f"/threads/{thread}/runs", {"assistant_id": "asst_emulator"})
    result = await running

    assert (result.state, result.runs) == (JobState.SUCCEEDED, 2)


async def test_wrong_annotations_cost_nothing_but_themselves(worker, tmp_path, settings):
    (tmp_path / "a.txt").write_text("Travel is booked a week ahead. Meals are covered.")
    (tmp_path / "b.txt").write_text("Travel by plane needs a reason. Meals are simple.")
    object.__setattr__(settings, "file_roots", (tmp_path,))
    prompt = "[[scenario=citations quirks=bad_annotations]]What of travel and meals?"
    result = await worker.run(prompt, files=[str(tmp_path / "a.txt"), str(tmp_path / "b.txt")])

    assert result.ok
    assert "【" not in result.text
    assert result.citations


@pytest.mark.emulated(without=frozenset({"vector_stores"}))
async def test_a_server_without_vector_stores_says_so(worker, emulator, tmp_path, settings):
    (tmp_path / "a.txt").write_text("Travel.")
    object.__setattr__(settings, "file_roots", (tmp_path,))
    result = await worker.run("Well?", files=[str(tmp_path / "a.txt")])

    assert result.failure.kind is FailureKind.UNSUPPORTED
    assert emulator.stats()["files"]["alive"] == 0


@pytest.mark.emulated(without=frozenset({"files"}))
async def test_a_server_without_files_says_so_before_a_thread_is_made(worker, emulator, tmp_path, settings):
    (tmp_path / "a.txt").write_text("Travel.")
    object.__setattr__(settings, "file_roots", (tmp_path,))
    result = await worker.run("Well?", files=[str(tmp_path / "a.txt")])

    assert result.failure.kind is FailureKind.UNSUPPORTED
    assert not emulator.sent("POST", "/threads")


@pytest.mark.parametrize(
    "is_tried",
    [
        pytest.param(False, id="known", marks=pytest.mark.endpoint(supports={"cancel": False})),
        pytest.param(True, id="unknown"),
    ],
)
@pytest.mark.emulated(without=frozenset({"cancel"}))
async def test_where_runs_cannot_be_cancelled_a_job_still_can(is_tried, worker, emulator, until):
    job = worker.create("[[run_s=60]]Well?")
    running = asyncio.create_task(worker.see_through(job))
    await asyncio.to_thread(until, lambda: emulator.sent("POST", "/runs"))
    worker.client.cancel(job)
    result = await running

    assert result.state is JobState.CANCELLED
    assert bool(emulator.sent("POST", "/cancel")) == is_tried
    assert emulator.threads() == 0


@pytest.mark.emulated(without=frozenset({"empty_threads"}))
async def test_a_server_that_makes_no_empty_threads(worker):
    assert (await worker.run("Well?")).ok


@pytest.mark.parametrize(
    "made",
    [
        pytest.param("run", marks=pytest.mark.endpoint(wire="assistants")),
        pytest.param("response", marks=pytest.mark.endpoint(wire="responses", model="emulator")),
    ],
)
async def test_tokens_that_a_server_does_not_report_are_counted_as_such(made, worker):
    result = await worker.run("[[scenario=no_usage]]\nWell?", batch="b")

    assert result.ok
    assert result.usage == Usage(unreported=1)
    assert result.usage.in_words == worker.client.batch("b").usage.in_words == "not reported"


async def test_the_usage_of_a_failed_run_is_not_called_unreported(worker):
    result = await worker.run("[[scenario=invalid_prompt]]\nWell?")
    assert result.usage.is_reported


WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}


@pytest.mark.parametrize(("scenario", "ignored"), [("ignores_tools", ("weather",)), ("echo", ())])
async def test_tools_that_a_server_ignores_are_named_in_the_result(scenario, ignored, worker):
    """OpenOpenAI runs with the assistant's tools alone; without a word of it the answer just lacks what they know."""
    result = await worker.run(f"[[scenario={scenario}]]\nWell?", tools=[WEATHER])

    assert result.ok
    assert result.ignored_tools == ignored


@pytest.mark.parametrize("quirks", ["float_times,no_run_filter", "float_times", "no_run_filter"])
async def test_each_job_of_a_thread_gets_its_own_answer(quirks, worker):
    thread = None
    for question in ("Why?", "And how?", "Since when?"):
        kept = {"thread": thread} if thread else {"keep_thread": True}
        result = await worker.run(f"[[scenario=echo quirks={quirks} run_s=0]]{question}", **kept)
        thread = result.thread_id
        others = {"Why?", "And how?", "Since when?"} - {question}
        assert (result.ok, question in result.text) == (True, True), result.failure
        assert not any(other in result.text for other in others)
