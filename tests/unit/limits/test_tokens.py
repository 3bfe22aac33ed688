"""Estimates of the tokens that calls use."""

from dataclasses import replace
from typing import Any

import pytest

from threadmill.job.progress import Cost
from threadmill.job.prompt import PromptJob
from threadmill.job.result import Usage
from threadmill.store.records.remote import KeptThread, Transcript
from threadmill_worker.drivers.requests.job_spec import JobSpec
from threadmill_worker.lifecycle.actions import StartRun, SubmitOutputs
from threadmill_worker.lifecycle.progress import Progress
from threadmill_worker.limits.tokens import (
    ANSWER_TOKENS,
    IMAGE_TOKENS,
    MOST_TOKENS,
    call_tokens,
    prompt_tokens,
    tokens_used,
)

PROGRESS = Progress(2e9, 1)
USED = Usage(prompt_tokens=900, completion_tokens=100, total_tokens=1000)


def spec(prompt: str = "x" * 400, tools: Any = None, kept: KeptThread | None = None, **fields: Any) -> JobSpec:
    return JobSpec("job", PromptJob(prompt=prompt, **fields), "x", tools=tools, kept=kept)


def spent(usage: Usage) -> Progress:
    return replace(PROGRESS, runs=1, cost=Cost(usage=usage, by_run={"run_1": usage}))


def test_four_characters_are_a_token() -> None:
    assert prompt_tokens(spec("x" * 4000)) == 1000


def test_tools_and_instructions_are_read_too() -> None:
    described = [{"type": "function", "function": {"name": "weigh", "description": "x" * 4000}}]
    assert prompt_tokens(spec(tools=described)) > 1100
    assert prompt_tokens(spec(additional_instructions="x" * 400)) == 200


def test_an_image_counts_as_an_image_whatever_its_length() -> None:
    image = "data:image/png;base64," + "A" * 100_000
    assert prompt_tokens(spec(images=[image])) == 100 + IMAGE_TOKENS


def test_the_earlier_messages_of_a_chain_are_read_again() -> None:
    moment = "2026-11-28T00:00:00Z"
    items = ({"role": "user", "content": [{"type": "input_text", "text": "x" * 4000}]},)
    kept = KeptThread(
        endpoint="e", id="t", job_id="j", created_at=moment, used_at=moment, transcript=Transcript(items=items)
    )
    assert prompt_tokens(spec(kept=kept)) > 1100


@pytest.mark.parametrize(("counted", "tokens"), [("total", 350), ("input", 100), ("output", 250)])
def test_a_start_needs_what_the_server_counts(counted: Any, tokens: int) -> None:
    assert call_tokens(100, spec(max_completion_tokens=250), StartRun(1), PROGRESS, counted) == tokens


def test_an_answer_without_a_limit_is_assumed_to_be_short() -> None:
    assert call_tokens(100, spec(), StartRun(1), PROGRESS, "total") == 100 + ANSWER_TOKENS


def test_after_tools_the_model_reads_all_again() -> None:
    submit = SubmitOutputs("run_1", {"call": "x" * 396})
    assert call_tokens(100, spec(), submit, spent(USED), "input") == 1000 + 100
    assert call_tokens(100, spec(), submit, PROGRESS, "input") == 200


@pytest.mark.parametrize(("counted", "tokens"), [("total", 1000), ("input", 900), ("output", 100)])
def test_the_usage_of_a_job_is_read_as_the_server_counts(counted: Any, tokens: int) -> None:
    assert tokens_used(spent(USED), counted) == tokens


def test_a_job_without_a_run_has_used_nothing() -> None:
    assert tokens_used(PROGRESS, "total") == 0


@pytest.mark.parametrize("usage", [Usage(), Usage(unreported=1), USED + Usage(unreported=1)])
def test_usage_that_the_server_did_not_report_is_not_known(usage: Usage) -> None:
    assert tokens_used(spent(usage), "total") is None


def test_absurd_usage_is_bounded() -> None:
    assert tokens_used(spent(Usage(total_tokens=10**300)), "total") == MOST_TOKENS
