"""The contract: jobs from outside, jobs from records, results."""

import json
from datetime import UTC, datetime

import pytest

from threadmill.errors import InvalidJob, KeyConflict, StoreUnavailable, without_password
from threadmill.job.prompt import PromptJob
from threadmill.job.result import OPEN, TERMINAL, Failure, FailureKind, JobResult, JobState, Timings, Usage

PIXEL = "data:image/png;base64,iVBORw0KGgo="
NOW = datetime(2026, 11, 20, tzinfo=UTC)


def test_every_state_is_either_open_or_terminal():
    assert set(JobState) == OPEN | TERMINAL
    assert not OPEN & TERMINAL


@pytest.mark.parametrize(
    "job",
    [
        {"prompt": "x"},
        {"prompt": "x" * 256_000},
        {"messages": [{"content": "x"}]},
        {"messages": [{"role": "assistant", "content": [{"type": "text", "text": "x"}]}]},
        {"messages": [{"content": [{"type": "image_url", "image_url": {"url": PIXEL}}]}]},
        {"prompt": "x", "metadata": {"k" * 64: "v" * 512}},
        {"prompt": "x", "metadata": {str(n): "" for n in range(15)}},
        {"prompt": "x", "temperature": 0, "top_p": 1, "max_completion_tokens": 1},
        {"prompt": "x", "tools": ["a", {"type": "file_search"}], "batch": "reports-2026.11@night"},
        {"prompt": "x", "deadline_at": "2026-11-20T08:00:00+08:00"},
    ],
)
def test_a_job_within_the_limits_is_taken(job):
    assert PromptJob.parse(job).conversation


@pytest.mark.parametrize(
    ("job", "says"),
    [
        ({"prompt": "x", "temprature": 1}, "unknown field `temprature`"),
        ({"messages": [{"content": "x", "name": "y"}]}, "unknown field `messages.0.name`"),
        ({"prompt": "x", "temperature": 2.1}, "`temperature`: "),
        ({"prompt": "x", "max_completion_tokens": 0}, "`max_completion_tokens`: "),
        ({"prompt": "x", "tools": ["t"] * 21}, "`tools`: "),
        ({"prompt": "x", "batch": "a b"}, "`batch`: "),
        ({"prompt": "x", "key": ""}, "`key`: "),
        ({"prompt": "x", "metadata": {"k": 1}}, "`metadata.k`: "),
        ({"messages": [{"content": []}]}, "`messages.0.content"),
        ({"messages": [{"content": [{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]}]}, "url`: "),
        ({"prompt": 7}, "`prompt`: "),
        ({"prompt": ""}, "`prompt`: "),
        ({}, "a job needs `prompt`, `messages` or `images`"),
    ],
)
def test_a_job_outside_them_is_refused_by_its_fields_name(job, says):
    with pytest.raises(InvalidJob) as refused:
        PromptJob.parse(job)
    assert says in str(refused.value)
    assert "pydantic" not in str(refused.value)


def test_every_wrong_field_is_named_at_once():
    with pytest.raises(InvalidJob) as refused:
        PromptJob.parse({"prompt": "x", "temprature": 1, "top_p": 7})
    assert "unknown field `temprature`" in str(refused.value)
    assert "`top_p`" in str(refused.value)


def test_fields_of_a_newer_producer_are_named():
    written = json.dumps({"prompt": "x", "mood": "good", "messages": [{"content": "y", "tone": 7}]})
    job = PromptJob.parse({"prompt": "x", "messages": [{"content": "y"}]})
    assert PromptJob.read(written) == (job, ("messages.0.tone", "mood"))


def test_the_prompt_is_the_last_message():
    job = PromptJob.parse({"prompt": "c", "messages": [{"content": "a"}, {"role": "assistant", "content": "b"}]})
    assert [(message.role, message.content) for message in job.conversation] == [
        ("user", "a"),
        ("assistant", "b"),
        ("user", "c"),
    ]


def test_a_job_survives_its_record():
    parts = [
        {"type": "text", "text": "y"},
        {"type": "image_url", "image_url": {"url": PIXEL}},
        {"type": "image_file", "image_file": {"file_id": "file-1"}},
    ]
    job = PromptJob.parse(
        {
            "prompt": "x",
            "messages": [{"content": "y"}, {"content": parts}],
            "files": ["file-2", {"path": "a.csv", "tools": ["code_interpreter"]}],
            "tools": ["t"],
            "deadline_at": NOW,
            "metadata": {"a": "b"},
        }
    )
    assert PromptJob.read(job.model_dump_json(exclude_defaults=True)) == (job, ())


@pytest.mark.parametrize(
    ("lane", "time_limit_s"),
    [(None, 1800), ("batch", 1800), ("flex", 7200), ("within-2h", 14_400), ("within-8h", 57_600)],
)
def test_a_job_has_the_time_that_its_lane_needs(lane: str | None, time_limit_s: float):
    job = PromptJob.parse({"prompt": "x", "lane": lane})
    hurried = PromptJob.parse({"prompt": "x", "lane": lane, "timeout_s": 1800})

    assert job.time_limit_s == time_limit_s
    assert PromptJob.read(hurried.model_dump_json(exclude_defaults=True)) == (hurried, ())
    assert hurried.time_limit_s == 1800


def test_the_lanes_of_ordinary_runs_take_tools_files_and_threads():
    much = {"prompt": "x", "tools": ["t"], "files": ["file-1"], "thread": "conv_1", "keep_thread": True}
    for lane in ("flex", "within-2h", "within-8h"):
        assert PromptJob.parse({**much, "lane": lane}).lane == lane
    assert PromptJob.parse({"prompt": "x", "stream": True, "lane": "flex"}).stream

    with pytest.raises(InvalidJob, match="the lane within-2h does not stream"):
        PromptJob.parse({"prompt": "x", "stream": True, "lane": "within-2h"})


def test_a_job_has_a_lane_or_a_service_tier():
    fast = PromptJob.parse({"prompt": "x", "service_tier": "priority"})
    assert (fast.priced_as, fast.time_limit_s) == ("priority", 1800)
    assert PromptJob.parse({"prompt": "x", "lane": "flex"}).priced_as == "flex"

    with pytest.raises(InvalidJob, match="leave out `lane` or `service_tier`"):
        PromptJob.parse({"prompt": "x", "lane": "flex", "service_tier": "priority"})


def test_the_fingerprint_is_of_the_content_alone():
    plain = PromptJob(prompt="x")
    assert plain.digest == PromptJob(prompt="x", key="k", batch="b").digest
    assert plain.digest == PromptJob(prompt="x", priority="high", tenant="t", delay_s=5).digest
    assert plain.digest == PromptJob(prompt="x", start_at=NOW).digest
    assert plain.digest == PromptJob(prompt="x", keep_thread=False).digest
    assert plain.digest != PromptJob(prompt="x", timeout_s=60).digest
    assert plain.digest != PromptJob(prompt="y").digest
    assert plain.digest != PromptJob.parse({"messages": [{"content": "x"}]}).digest


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"start_at": NOW, "delay_s": 5}, "starts at `start_at` or after `delay_s`: leave one of them out"),
        ({"start_at": NOW, "deadline_at": NOW}, "`deadline_at` is not after `start_at`"),
        ({"start_at": "2026-11-29T06:00"}, "`start_at`: Input should have timezone info"),
        ({"delay_s": 0}, "`delay_s`: Input should be greater than 0"),
        ({"delay_s": float("inf")}, "`delay_s`: Input should be a finite number"),
        ({"delay_s": 1e308}, "`delay_s`: Input should be less than or equal to 31622400"),
        ({"timeout_s": float("inf")}, "`timeout_s`: Input should be a finite number"),
        ({"timeout_s": 1e12}, "`timeout_s`: Input should be less than or equal to 31622400"),
        ({"start_at": "9999-12-31T23:59:59-12:00"}, "`start_at`: is not a time between the years 1970 and 9998"),
        ({"deadline_at": "0001-01-01T00:00:00+14:00"}, "`deadline_at`: is not a time between the years 1970 and 9998"),
        ({"seed": 2**63}, "`seed`: Input should be less than"),
        ({"priority": "urgent"}, "`priority`: Input should be 'high', 'normal' or 'low'"),
        ({"tenant": "a|b"}, "`tenant`: String should match"),
    ],
)
def test_when_and_for_whom_a_job_runs_must_make_sense(fields, says):
    with pytest.raises(InvalidJob) as refused:
        PromptJob.parse({"prompt": "x", **fields})
    assert says in str(refused.value)


def test_the_jobs_of_every_lane_may_start_later():
    for lane in (None, "batch", "flex"):
        job = PromptJob.parse({"prompt": "x", "lane": lane, "delay_s": 5, "priority": "low", "tenant": "team-a"})
        assert PromptJob.read(job.model_dump_json(exclude_defaults=True)) == (job, ())


def test_tokens_add_up():
    a = Usage(prompt_tokens=1, completion_tokens=2, total_tokens=3)
    assert a + a == Usage(prompt_tokens=2, completion_tokens=4, total_tokens=6)
    assert a + Usage() == a


def test_a_result_says_whether_it_is_good():
    timings = Timings(created_at=NOW, finished_at=NOW)
    failure = Failure(kind=FailureKind.EXPIRED, message="late")
    assert JobResult(job_id="j", state=JobState.SUCCEEDED, timings=timings).ok
    assert not JobResult(job_id="j", state=JobState.FAILED, failure=failure, timings=timings).ok


def test_a_result_survives_json():
    timings = Timings(created_at=NOW, started_at=NOW, finished_at=NOW)
    block = {"type": "text", "text": {"value": "天空", "annotations": []}}
    result = JobResult(job_id="j", state=JobState.SUCCEEDED, text="天空", content=(block,), timings=timings)
    assert JobResult.model_validate_json(json.dumps(result.model_dump(mode="json"))) == result


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:pass@host:6379/0", "redis://host:6379/0"),
        ("rediss://user:p@ss@host/0", "rediss://host/0"),
        ("redis://host:6379/0", "redis://host:6379/0"),
        ("redis://host/0?password=pass", "redis://host/0"),
        ("redis://:12?p@ss@host/0", "redis://..."),
        ("user:p@ss@host:6379", "host:6379"),
    ],
)
def test_a_password_is_never_shown(url, shown):
    assert without_password(url) == shown
    assert shown in str(StoreUnavailable(url, OSError("refused")))


def test_a_conflict_shows_long_values_short():
    conflict = KeyConflict("k", "j", {"prompt": ("a" * 500, "b")})
    assert len(str(conflict)) < 250
    assert "502 characters" in str(conflict)
