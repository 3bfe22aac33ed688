"""Ways a run of the Assistants API can go; those that both APIs know are in test_wires_agree.py."""

import pytest

from threadmill import FailureKind, JobState

pytestmark = pytest.mark.integration

PROMPT = "Why is the sky blue?"
SORRY = "I'm sorry, I can't help with that."


@pytest.mark.parametrize(
    ("scenario", "runs", "text"),
    [
        ("expired_once", 2, PROMPT),
        ("blocks", 1, "The source says so"),
        ("string_content", 1, PROMPT),
        ("float_times", 1, PROMPT),
        ("no_run_filter", 1, PROMPT),
        ("no_expires_at", 1, PROMPT),
        ("refuses_cancel", 1, PROMPT),
        ("empty_required_action", 1, "SEARCH answered"),
        ("single_outputs", 1, "SEARCH answered"),
    ],
)
async def test_a_run_that_ends_well_makes_the_job_succeed(worker, emulator, scenario, runs, text):
    result = await worker.run(PROMPT, assistant=f"asst_{scenario}")

    assert (result.state, result.failure) == (JobState.SUCCEEDED, None)
    assert text in result.text
    assert result.runs == runs == emulator.stats()["runs"]["created"]
    assert result.lost_threads == 0
    assert emulator.threads() == 0


@pytest.mark.parametrize(
    ("scenario", "kind", "code", "retryable", "runs"),
    [
        ("bare_error", FailureKind.SERVER_ERROR, None, True, 3),
        ("expired", FailureKind.EXPIRED, None, True, 3),
        ("content_filter", FailureKind.REJECTED, "content_filter", False, 1),
    ],
)
async def test_a_run_that_ends_badly_makes_a_failure_that_says_why(
    worker, emulator, scenario, kind, code, retryable, runs
):
    result = await worker.run(PROMPT, assistant=f"asst_{scenario}")

    assert result.state is JobState.FAILED
    assert (result.failure.kind, result.failure.code, result.failure.retryable) == (kind, code, retryable)
    assert result.failure.message
    assert result.runs == runs == emulator.stats()["runs"]["created"]
    assert emulator.threads() == 0


@pytest.mark.endpoint(max_reruns=0)
async def test_without_reruns_one_failed_run_is_the_end(worker, emulator):
    result = await worker.run(assistant="asst_failed_once")

    assert (result.failure.kind, result.runs) == (FailureKind.SERVER_ERROR, 1)


async def test_a_rate_limited_run_is_repeated_no_sooner_than_the_server_asks(worker, emulator):
    result = await worker.run("[[scenario=rate_limited times=1]]\n" + PROMPT)  # "Please try again in 1s."

    assert (result.state, result.runs) == (JobState.SUCCEEDED, 2)
    assert (result.timings.finished_at - result.timings.started_at).total_seconds() > 1


async def test_a_cut_answer_is_kept_with_the_failure(worker):
    whole = await worker.run(PROMPT)
    cut = await worker.run(PROMPT, assistant="asst_incomplete")

    assert cut.text
    assert whole.text.startswith(cut.text)
    assert "raise max_completion_tokens" in cut.failure.message


async def test_blocks_of_several_types_come_in_order_as_the_server_sent_them(worker):
    result = await worker.run(PROMPT, assistant="asst_blocks")

    assert [block["type"] for block in result.content] == ["text", "image_file", "text"]
    assert result.content[1]["image_file"]["file_id"].startswith("file-")
    notes = result.content[2]["text"]["annotations"]
    assert [note["type"] for note in notes] == ["file_citation", "file_citation", "file_path"]
    chart, table = result.files
    assert result.text.endswith(
        f"![chart.png]({chart.uri})\n\n"
        f"The source says so[1], and again[1]. [Download the terms]({table.uri})\n\n[1] source.txt"
    )
    assert (chart.media_type, table.media_type) == ("image/png", "text/csv")


async def test_two_messages_make_one_answer_in_order(worker):
    result = await worker.run(PROMPT, assistant="asst_two_messages")

    assert len(result.content) == 2
    assert result.text == "\n\n".join(block["text"]["value"] for block in result.content)


async def test_a_refusal_is_an_answer(worker):
    result = await worker.run(PROMPT, assistant="asst_refusal")

    assert result.content == ({"type": "refusal", "refusal": SORRY},)
    assert result.text == SORRY


async def test_tokens_are_summed_over_all_runs(worker):
    once = (await worker.run(PROMPT)).usage
    twice = (await worker.run(PROMPT, assistant="asst_failed_once")).usage
    lost = (await worker.run(PROMPT, assistant="asst_expired_once")).usage  # the expired run reports none

    assert once.total_tokens == once.prompt_tokens + once.completion_tokens > 0
    assert twice.prompt_tokens == 2 * once.prompt_tokens
    assert twice.completion_tokens == once.completion_tokens
    assert lost == once


async def test_a_rerun_happens_on_the_same_thread(worker, emulator):
    await worker.run(assistant="asst_failed_once")

    assert emulator.stats()["threads"]["created"] == 1
    assert len({request.path for request in emulator.sent("POST", "/runs")}) == 1


async def test_the_calls_of_a_job_are_counted(worker, emulator):
    result = await worker.run(assistant="asst_failed_once")

    assert result.calls == len(emulator.requests) == sum(emulator.stats()["calls"].values())


@pytest.mark.emulated(run_s=1.0, poll_after_ms=400)
async def test_the_server_may_say_when_to_look_again(worker, emulator):
    await worker.run()

    looks = [request for request in emulator.requests if request.method == "GET" and "/runs/" in request.path]
    assert 2 <= len(looks) <= 4  # by our own count it would be a dozen


async def test_a_job_that_ended_is_not_run_again(worker, emulator):
    job_id = worker.create()
    first = await worker.see_through(job_id)
    again = await worker.process.run(job_id, None)

    assert again == first
    assert emulator.stats()["runs"]["created"] == 1
