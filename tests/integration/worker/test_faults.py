"""With a faulty network or server, the job still succeeds with one run, and nothing is left on the server."""

import asyncio

import pytest

from threadmill import FailureKind, JobState

pytestmark = pytest.mark.integration

ROUTES = [
    "threads.create",
    "messages.create",
    "runs.create",
    "runs.retrieve",
    "runs.submit_tool_outputs",
    "messages.list",
    "threads.delete",
]
FAULTS = ["drop_before", "drop_after", "error_500", "rate_limit_429", "malformed", "html", "slow"]

#: 34 messages, so that two are added one by one, and a round of tools: the job uses every route.
MESSAGES = [{"role": "user", "content": f"Remark {number}."} for number in range(33)]
PROMPT = "[[scenario=tools]]\nWell?"

#: Longer than the timeout of a request, and than the test.
SLOW_S = 30


@pytest.mark.endpoint(request_timeout_s=1.5)
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("route", ROUTES)
async def test_one_fault_on_any_call_costs_the_job_nothing(worker, emulator, route, fault):
    emulator.faults(**{fault: 1}, only=route, times=1, slow_s=SLOW_S, retry_after_s=0.1)
    result = await worker.run(PROMPT, messages=MESSAGES)

    stats = emulator.stats()
    assert stats["faults"] == {fault: 1}
    assert (result.state, result.failure) == (JobState.SUCCEEDED, None)
    assert (result.runs, emulator.completed()) == (1, 1)
    assert stats["tool_outputs"] == {"submitted": 1, "call_ids": 1, "most_for_one_call_id": 1}
    assert stats["plugin_calls"] == {"SEARCH": 1}
    assert emulator.threads() <= result.lost_threads
    if route == "threads.create":
        assert result.lost_threads <= 1
    else:
        assert result.lost_threads == 0


@pytest.mark.parametrize("fault", ["drop_before", "drop_after", "malformed"])
async def test_no_message_is_lost_or_sent_twice(worker, emulator, fault):
    plain = await worker.run(PROMPT, messages=MESSAGES)
    emulator.faults(**{fault: 1}, only="messages.create", times=2)
    faulty = await worker.run(PROMPT, messages=MESSAGES)

    assert emulator.stats()["faults"] == {fault: 2}
    assert faulty.usage == plain.usage, "the run read the same messages"


@pytest.mark.parametrize("fault", ["drop_before", "drop_after", "error_503"])
async def test_a_start_that_fails_three_times_still_makes_one_run(worker, emulator, fault):
    emulator.faults(**{fault: 1}, only="runs.create", times=3)
    result = await worker.run()

    assert (result.state, emulator.completed()) == (JobState.SUCCEEDED, 1)
    assert emulator.threads() == 0


async def test_a_retry_after_is_obeyed(worker, emulator):
    emulator.faults(rate_limit_429=1, only="runs.create", times=1, retry_after_s=0.8)
    result = await worker.run()

    assert result.state is JobState.SUCCEEDED
    assert (result.timings.finished_at - result.timings.started_at).total_seconds() > 0.8


@pytest.mark.endpoint(unreachable_limit_s=60)
async def test_a_storm_of_faults_costs_thirty_jobs_nothing(worker, emulator):
    emulator.faults(
        drop_before=0.04,
        drop_after=0.04,
        error_500=0.04,
        malformed=0.04,
        rate_limit_429=0.04,
        retry_after_s=0.1,
        only="threads.create,messages.create,runs.create,runs.retrieve,runs.list,runs.submit_tool_outputs,messages.list,threads.delete",
    )
    results = await asyncio.gather(*(worker.run(f"[[scenario=tools]]\nQuestion {n}?") for n in range(30)))

    assert sum(emulator.stats()["faults"].values()) > 20
    assert [result.failure for result in results if not result.ok] == []
    assert emulator.completed() == 30
    assert set(emulator.stats(by="threadmill")["completed_by"].values()) == {1}
    assert emulator.stats()["tool_outputs"]["most_for_one_call_id"] == 1
    assert emulator.threads() <= sum(result.lost_threads for result in results)


@pytest.mark.endpoint(unreachable_limit_s=0.2)
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("drop_before", FailureKind.UNREACHABLE),
        ("html", FailureKind.UNREACHABLE),
        ("error_500", FailureKind.SERVER_ERROR),
        ("plain_500", FailureKind.SERVER_ERROR),
    ],
)
async def test_a_job_fails_after_a_time_without_usable_replies(worker, emulator, fault, kind):
    emulator.faults(**{fault: 1}, retry_after_s=0.1)
    result = await worker.run()

    assert (result.state, result.failure.kind, result.failure.retryable) == (JobState.FAILED, kind, True)
    assert result.failure.message.startswith("no usable reply for ")
    assert result.runs == 0


@pytest.mark.endpoint(unreachable_limit_s=0.2)
async def test_only_its_deadline_ends_a_job_that_the_server_refuses(worker, emulator):
    emulator.faults(rate_limit_429=1, retry_after_s=0.1)
    result = await worker.run(timeout_s=1)

    assert (result.failure.kind, result.runs) == (FailureKind.OVERDUE, 0)
    assert "429 " in result.failure.message


@pytest.mark.endpoint(unreachable_limit_s=0.2)
async def test_a_server_that_fails_for_good_leaves_a_recorded_leftover(worker, emulator, store):
    emulator.faults(error_500=1, only="runs.retrieve,threads.delete,runs.cancel")
    result = await worker.run()

    assert (result.state, result.failure.kind) == (JobState.FAILED, FailureKind.SERVER_ERROR)
    [leftover] = store.zrange(f"{worker.settings.key_prefix}:leftovers", 0, -1)
    [thread] = emulator.stats(ids="1")["threads"]["ids"]
    assert thread in leftover


@pytest.mark.parametrize("route", ["threads.create", "messages.create", "runs.create"])
async def test_a_refused_key_ends_the_job_at_once(worker, emulator, route):
    emulator.faults(unauthorised=1, only=route)
    result = await worker.run(messages=MESSAGES)

    assert (result.state, result.failure.kind) == (JobState.FAILED, FailureKind.UNAUTHORISED)
    assert (result.failure.code, result.failure.retryable) == ("invalid_api_key", False)
    assert emulator.stats()["faults"] == {"unauthorised": 1}, "asking again would not help"
    assert emulator.threads() == 0


async def test_a_key_refused_in_the_middle_of_a_run_ends_the_job(worker, emulator):
    emulator.faults(unauthorised=1, only="runs.retrieve")
    result = await worker.run()

    assert (result.state, result.failure.kind, result.runs) == (JobState.FAILED, FailureKind.UNAUTHORISED, 1)
    assert emulator.threads() == 0
