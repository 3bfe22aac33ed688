"""What single views change, and the small rules: intervals, reasons, answers, troubles, the saved form."""

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.lifecycle.story import COMPLETED, QUEUED, RUNNING, START, asks, failed, next_action

from threadmill.job.result import FailureKind, JobState, Usage
from threadmill.settings.endpoints.run_limits import RunLimits
from threadmill_worker.lifecycle import actions as act
from threadmill_worker.lifecycle import observations as obs
from threadmill_worker.lifecycle.decide import advance, intend, is_worth_saving
from threadmill_worker.lifecycle.observe import observe
from threadmill_worker.lifecycle.polling import HINT_RANGE_S, POLL_SHARE
from threadmill_worker.lifecycle.progress import Answer, Features, Intent, Leftover, Outcome, Progress
from threadmill_worker.lifecycle.steps.recovery.call_errors import BACKOFF_LONGEST_S

LIMITS = RunLimits()
LEFTOVER = Leftover("thread", "thread_1")
JOB = Progress(deadline_at=START + 3600, messages=1, thread_id="thread_1", messages_sent=1, leftovers=(LEFTOVER,))


def see(progress: Progress, action: act.Action, view: obs.Observation, after_s: float = 0.0) -> Progress:
    return advance(observe(progress, action, view, LIMITS, START + after_s), LIMITS, START + after_s)[0]


def under_way(run: obs.RunObservation = RUNNING) -> Progress:
    """A job whose run was started at START."""
    return see(JOB, act.StartRun(1), replace(run, id="run_1"))


def answered(*blocks: dict[str, Any]) -> Outcome:
    progress = see(under_way(obs.RunObservation("?", "completed")), act.ReadAnswer("run_1"), obs.AnswerRead(blocks))
    while progress.outcome is None:  # files it refers to cannot be had
        progress = see(progress, next_action(progress, LIMITS, progress.wait_until), obs.Gone("No such File object"))
    return progress.outcome


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": {"value": value, "annotations": []}}


def job_of_a_run_that_takes(run_s: float, jitter: float) -> tuple[int, float]:
    """The HTTP calls of the whole job, and how long after the run's end its answer is read."""
    now, calls, read_at = START, 0, 0.0
    progress = Progress(deadline_at=START + 3600, messages=1)
    while not isinstance(action := next_action(progress, LIMITS, now), act.Finish):
        if isinstance(action, act.Wait):
            now += (action.until - now) * (1 + jitter)
            continue
        calls += 1
        match action:
            case act.CreateThread():
                view: obs.Observation = obs.ThreadCreated("thread_1")
            case act.ReadAnswer():
                view, read_at = obs.AnswerRead((text("42"),)), now
            case act.Delete():
                view = obs.Deleted()
            case _:
                view = obs.RunObservation("run_1", "completed" if now >= START + run_s else "in_progress")
        progress = see(intend(progress, action, now), action, view, after_s=now - START)
    return calls, read_at - (START + run_s)


@pytest.mark.parametrize("jitter", [0.0, 0.03, 0.05, 0.08, 0.1])
def test_a_run_of_five_seconds_costs_at_most_nine_calls(jitter: float) -> None:
    calls, late_s = job_of_a_run_that_takes(5.0, jitter)
    assert calls <= 9
    assert late_s <= 1.5


@pytest.mark.parametrize("run_s", [0.5, 4.4, 5.6, 20.0, 60.0, 300.0, 600.0])
def test_an_answer_is_seen_within_a_quarter_of_its_runs_time(run_s: float) -> None:
    calls, late_s = job_of_a_run_that_takes(run_s, 0.1)
    assert late_s <= 1.1 * min(max(LIMITS.first_poll_s, run_s * POLL_SHARE), LIMITS.max_poll_interval_s)
    assert calls <= 20 + run_s / LIMITS.max_poll_interval_s


@pytest.mark.parametrize(
    ("wish_s", "waits_s"),
    [(2.5, 2.5), (0.0, HINT_RANGE_S[0]), (500.0, HINT_RANGE_S[1]), (float("nan"), HINT_RANGE_S[0])],
)
def test_the_servers_poll_interval_is_respected_within_bounds(wish_s: float, waits_s: float) -> None:
    progress = under_way(replace(RUNNING, poll_after_s=wish_s))
    assert progress.poll_at == START + waits_s


@pytest.mark.parametrize(("age_s", "waits_s"), [(0, LIMITS.first_poll_s), (12, 3.0), (500, LIMITS.max_poll_interval_s)])
def test_older_runs_are_polled_less_often(age_s: float, waits_s: float) -> None:
    progress = see(under_way(), act.PollRun("run_1"), replace(RUNNING, id="run_1"), after_s=age_s)
    assert progress.poll_at - START == pytest.approx(age_s + waits_s)


@pytest.mark.parametrize("action", [act.SubmitOutputs("run_1", {"a": "1"}), act.CancelRun("run_1")])
def test_a_run_that_received_outputs_is_polled_soon(action: act.Action) -> None:
    progress = see(under_way(asks("a")), action, obs.RunObservation("run_1", "cancelling"), after_s=500)
    assert progress.poll_at - START == pytest.approx(500 + LIMITS.first_poll_s)


@pytest.mark.parametrize(
    ("message", "delay_s"),
    [
        ("Rate limit reached. Please try again in 12.3s.", 12.3),
        ("try again in 120ms", 0.12),
        ("Please try again in 1m26.4s", 86.4),
        ("No deployments available for selected model, Try again in 60 seconds. Passed model=m", 60),
        ("Rate limit is exceeded. Please retry after 7 seconds.", 7),
        ("Please try again in ... s", 5.0),
        ("Please try again in 99999999999999999999s", 5.0),
        ("slow down", 5.0),
    ],
)
def test_a_rate_limited_run_is_repeated_when_its_message_says_so(message: str, delay_s: float) -> None:
    progress = see(under_way(), act.PollRun("run_1"), replace(failed("rate_limit_exceeded", message), id="run_1"))
    assert progress.run is None
    assert progress.wait_until - START == pytest.approx(delay_s)


@pytest.mark.parametrize(
    ("message", "earlier", "delay_s"),
    [("slow down", 1, 10), ("try again in 1s", 2, 20), ("slow down", 9, 60), ("try again in 2m0s", 9, 120)],
)
def test_each_further_rate_limited_run_waits_longer(message: str, earlier: int, delay_s: float) -> None:
    progress = replace(under_way(), limited_runs=earlier)
    progress = see(progress, act.PollRun("run_1"), replace(failed("rate_limit_exceeded", message), id="run_1"))
    assert progress.wait_until - START == pytest.approx(delay_s)


@pytest.mark.parametrize(
    "run",
    [
        failed("rate_limit_exceeded", "You exceeded your current quota, please check your plan and billing details."),
        failed("insufficient_quota"),
        failed(None, "You exceeded your current quota"),
    ],
)
def test_a_spent_quota_is_permanent_however_it_is_reported(run: obs.RunObservation) -> None:
    outcome = see(under_way(), act.PollRun("run_1"), replace(run, id="run_1")).outcome
    assert outcome is not None
    assert outcome.failure is not None
    assert (outcome.failure.kind, outcome.failure.retryable) == (FailureKind.QUOTA, False)


def test_an_answer_joins_the_text_of_all_blocks() -> None:
    blocks = (text("one"), {"type": "image_file", "image_file": {"file_id": "file_1"}}, text("two"))
    outcome = answered(*blocks)
    assert (outcome.state, outcome.content) == (JobState.SUCCEEDED, blocks)
    assert outcome.text == "one\n\n[image: file_1]\n\ntwo"


def test_a_refusal_is_an_answer_and_its_words_are_the_text() -> None:
    outcome = answered({"type": "refusal", "refusal": "I will not"})
    assert (outcome.state, outcome.text) == (JobState.SUCCEEDED, "I will not")


@pytest.mark.parametrize("blocks", [(), (text(""),), (text(" \n"),), ({"type": "text"},)])
def test_an_answer_without_content_is_empty(blocks: tuple[dict[str, Any], ...]) -> None:
    outcome = answered(*blocks)
    assert outcome.failure is not None
    assert outcome.failure.kind is FailureKind.EMPTY_ANSWER


def test_a_truncated_answer_names_its_limit() -> None:
    run = obs.RunObservation("?", "incomplete", incomplete_reason="max_completion_tokens")
    outcome = see(under_way(run), act.ReadAnswer("run_1"), obs.AnswerRead((text("half an"),))).outcome
    assert outcome is not None
    assert outcome.failure is not None
    assert (outcome.text, outcome.failure.code) == ("half an", "max_completion_tokens")


def test_usage_is_summed_over_all_runs_and_counted_once_for_each() -> None:
    spent = obs.RunObservation("run_1", "expired", usage=Usage(prompt_tokens=2, completion_tokens=1, total_tokens=3))
    progress = see(under_way(), act.PollRun("run_1"), spent)
    progress = see(progress, act.StartRun(2), replace(QUEUED, id="run_2"))
    progress = see(progress, act.PollRun("run_2"), replace(spent, id="run_2", status="completed"))
    progress = see(progress, act.PollRun("run_2"), replace(spent, id="run_2", status="completed"))
    assert progress.cost.usage == Usage(prompt_tokens=4, completion_tokens=2, total_tokens=6)


def test_a_run_that_ends_twice_has_the_usage_reported_last() -> None:
    def look(progress: Progress, status: str, usage: Usage | None) -> Progress:
        return see(progress, act.PollRun("run_1"), obs.RunObservation("run_1", status, usage=usage))

    progress = look(under_way(), "completed", Usage(total_tokens=3))
    progress = look(progress, "in_progress", None)
    progress = look(progress, "completed", Usage(total_tokens=5))
    assert progress.cost.usage.total_tokens == 5
    assert look(progress, "completed", None).cost.usage == Usage(total_tokens=5)


def test_the_model_is_named_by_the_server_of_the_last_run() -> None:
    silent = under_way()
    assert (silent.cost.model, silent.spent["model"]) == (None, None)
    silent = replace(silent, run=None, features=Features(model="asked"))
    assert see(silent, act.StartRun(1), QUEUED).cost.model == "asked", "the server does not say"
    first = see(silent, act.StartRun(1), replace(QUEUED, model="m-2024-07-18"))
    assert (first.cost.model, first.spent["model"]) == ("m-2024-07-18", "m-2024-07-18")
    assert see(replace(first, run=None), act.StartRun(2), replace(QUEUED, id="run_2", model="n")).cost.model == "n"


def test_an_answer_in_the_final_reply_is_kept_once() -> None:
    cited = obs.AnswerRead(({"type": "image_file", "image_file": {"file_id": "file-made"}}, text("42")), ("cntr_1",))
    ended = obs.RunObservation("resp_1", "completed", kind="response", answer=cited)
    place = replace(under_way(), run=None)

    unread = see(place, act.StartRun(1), ended)
    assert unread.to_json().count("file-made") == 2, "as a block, and as a leftover"
    assert {each.id for each in unread.leftovers} == {"thread_1", "resp_1", "cntr_1", "file-made"}
    assert next_action(unread, LIMITS, START) == act.Download("file-made")

    read = see(place, act.StartRun(1), replace(ended, answer=obs.AnswerRead((text("42"),))))
    assert read.outcome is not None
    assert (read.outcome.text, read.answer) == ("42", Answer(()))

    cancelled = see(replace(place, outcome=read.outcome), act.CancelRun("resp_1"), ended)
    assert cancelled.answer == Answer(()), "nobody wants it any more, but what it made is to be deleted"
    assert Leftover("file", "file-made") in cancelled.leftovers


def test_the_lane_is_that_of_all_runs_that_took_tokens() -> None:
    cheap = see(
        replace(under_way(), run=None),
        act.StartRun(1),
        obs.RunObservation("resp_1", "completed", kind="response", lane="batch"),
    )
    assert (cheap.cost.lane, cheap.spent["lane"]) == ("batch", "batch")
    again = replace(cheap, run=None)
    assert see(again, act.StartRun(2), obs.RunObservation("resp_2", "queued", kind="response")).cost.lane == "batch"
    assert see(again, act.StartRun(2), obs.RunObservation("resp_2", "completed", kind="response")).cost.lane is None


def test_functions_that_a_run_does_not_know_are_ignored_ones() -> None:
    offered = replace(JOB, features=Features(functions=("weigh", "measure")))

    def ignored(run: obs.RunObservation) -> tuple[str, ...]:
        return see(offered, act.StartRun(1), run).ignored_tools

    assert ignored(obs.RunObservation("run_1", "queued", functions=("weigh", "other"))) == ("measure",)
    assert ignored(obs.RunObservation("run_1", "queued", functions=())) == ("weigh", "measure")
    assert ignored(obs.RunObservation("run_1", "queued", functions=None)) == (), "a server that does not say"


@pytest.mark.parametrize(
    ("shown", "lacking"),
    [
        (frozenset({"function"}), "it has no file_search and no code_interpreter;"),
        (frozenset({"file_search"}), "it has no code_interpreter;"),
        (frozenset({"file_search", "code_interpreter"}), None),
        (None, None),
    ],
)
def test_a_run_that_cannot_read_the_files_of_its_job_is_stopped(shown: frozenset[str] | None, lacking: str) -> None:
    given = replace(JOB, features=Features(file_tools=("file_search", "code_interpreter")))
    progress = see(given, act.StartRun(1), replace(QUEUED, own_tools=shown))
    if lacking is None:
        assert progress.outcome is None
        return
    assert progress.outcome is not None
    assert progress.outcome.failure is not None
    assert lacking in progress.outcome.failure.message
    assert next_action(progress, LIMITS, START) == act.CancelRun(QUEUED.id)


def test_outputs_are_saved_as_they_come() -> None:
    progress = under_way(asks("a", "b"))
    action = next_action(progress, LIMITS, START)
    assert isinstance(action, act.CallTools)
    progress = see(progress, action, obs.OutputReady("b", "done"))
    assert next_action(progress, LIMITS, START) == act.CallTools((obs.ToolCall("a", "weigh", "{}"),), action.until)
    progress = see(progress, action, obs.OutputReady("a", "done"))
    assert next_action(progress, LIMITS, START) == act.SubmitOutputs("run_1", {"a": "done", "b": "done"})


def rerun_asking(call: obs.ToolCall, first: obs.OutputReady) -> Progress:
    """A second run asks for `call`, after a first one that had `first` for its call `a` has expired."""
    progress = see(under_way(asks("a")), act.CallTools((), 0), first)
    progress = see(progress, act.PollRun("run_1"), obs.RunObservation("run_1", "expired"))
    return see(progress, act.StartRun(2), obs.RunObservation("run_2", "requires_action", (call,)))


def test_a_finished_call_is_not_made_again_when_a_rerun_repeats_it() -> None:
    progress = rerun_asking(obs.ToolCall("b", "weigh", " {} "), obs.OutputReady("a", "3 kg"))
    assert next_action(progress, LIMITS, START + 1) == act.SubmitOutputs("run_2", {"b": "3 kg"})


@pytest.mark.parametrize(
    ("call", "first"),
    [
        (obs.ToolCall("b", "weigh", "{}"), obs.OutputReady("a", "the scales are broken", reusable=False)),
        (obs.ToolCall("b", "weigh", '{"what": "a crate"}'), obs.OutputReady("a", "3 kg")),
        (obs.ToolCall("a", "measure", "{}"), obs.OutputReady("a", "3 kg")),
    ],
    ids=["it failed, or is declared repeatable", "other arguments", "another tool under the same call id"],
)
def test_a_call_without_an_output_to_reuse_is_made(call: obs.ToolCall, first: obs.OutputReady) -> None:
    action = next_action(rerun_asking(call, first), LIMITS, START + 1)
    assert isinstance(action, act.CallTools)
    assert action.calls == (call,)


def test_a_call_that_one_run_repeats_is_made_again() -> None:
    progress = see(under_way(asks("a")), act.CallTools((), 0), obs.OutputReady("a", "3 kg"))
    progress = see(progress, act.SubmitOutputs("run_1", {}), replace(asks("b"), id="run_1"))
    assert isinstance(next_action(progress, LIMITS, START + 5), act.CallTools)


@pytest.mark.parametrize(("expires_s", "until_s"), [(100.0, 95.0), (None, LIMITS.run_limit_s - 5), (9000.0, 3600.0)])
def test_tools_have_until_shortly_before_their_run_expires(expires_s: float | None, until_s: float) -> None:
    progress = under_way(replace(asks("a"), expires_at=START + expires_s if expires_s else None))
    action = next_action(progress, LIMITS, START)
    assert isinstance(action, act.CallTools)
    assert action.until - START == pytest.approx(until_s)


@pytest.mark.parametrize("ahead_s", [-3600.0, -300.0, 0.0, 300.0, 3600.0])
def test_a_server_whose_clock_is_wrong_takes_no_time_from_tools(ahead_s: float) -> None:
    created_at = START + ahead_s
    progress = under_way(replace(asks("a"), created_at=created_at, expires_at=created_at + 600))
    action = next_action(progress, LIMITS, START + 10)
    assert isinstance(action, act.CallTools)
    assert action.until - START == pytest.approx(595)


@pytest.mark.parametrize("created_s", [100.0, 200.0])
def test_an_expiry_before_the_creation_is_taken_as_it_is(created_s: float) -> None:
    progress = under_way(replace(asks("a"), created_at=START + created_s, expires_at=START + 100))
    action = next_action(progress, LIMITS, START)
    assert isinstance(action, act.CallTools)
    assert action.until - START == pytest.approx(95)


def test_outputs_that_were_not_accepted_are_sent_again_later() -> None:
    progress = see(under_way(asks("a")), act.CallTools((), 0), obs.OutputReady("a", "done"))
    submit = next_action(progress, LIMITS, START)
    progress = see(intend(progress, submit, START), submit, replace(asks("a"), id="run_1"))
    assert next_action(progress, LIMITS, START) == act.Wait(START + LIMITS.first_poll_s)
    assert next_action(progress, LIMITS, START + LIMITS.first_poll_s) == submit


def test_waits_double_with_each_error_in_a_row_up_to_a_limit() -> None:
    progress, waits = under_way(), []
    for _ in range(9):
        progress = see(progress, act.PollRun("run_1"), obs.Unknown("timeout"))
        waits.append(progress.wait_until - START)
    assert waits == [0.5, 1, 2, 4, 8, 16, BACKOFF_LONGEST_S, BACKOFF_LONGEST_S, BACKOFF_LONGEST_S]
    progress = see(progress, act.PollRun("run_1"), replace(RUNNING, id="run_1"))
    assert (progress.errors.count, progress.errors.since, progress.wait_until) == (0, None, 0)


def test_a_successor_knows_how_often_and_since_when_calls_fail() -> None:
    progress = see(under_way(), act.PollRun("run_1"), obs.Unknown("503 busy"))
    again = Progress.from_json(progress.to_json())
    again = see(again, act.PollRun("run_1"), obs.Unknown("502 bad gateway"), after_s=100)
    assert (again.errors.count, again.errors.first_at, again.errors.reason) == (2, START, "502 bad gateway")
    assert again != progress, "how often is saved too, for `threadmill jobs show`"
    better = see(again, act.PollRun("run_1"), replace(RUNNING, id="run_1"))
    assert (better.errors.count, better.errors.first_at, better.errors.reason) == (0, None, None)


def test_finding_nothing_after_a_lost_reply_does_not_end_the_outage() -> None:
    lost = see(intend(JOB, act.StartRun(1), START), act.StartRun(1), obs.Unknown("timeout"))
    assert see(lost, act.Resolve(Intent.START_RUN), obs.NothingFound()).errors.count == lost.errors.count == 1


@pytest.mark.parametrize(("view", "intent"), [(obs.NotSent("429"), None), (obs.Unknown("timeout"), Intent.START_RUN)])
def test_only_a_call_with_an_unknown_outcome_is_resolved(view: obs.Observation, intent: Intent | None) -> None:
    assert see(intend(JOB, act.StartRun(1), START), act.StartRun(1), view).intent is intent


def test_a_failed_resolution_leaves_the_outcome_unknown() -> None:
    progress = intend(JOB, act.StartRun(1), START)
    assert see(progress, act.Resolve(Intent.START_RUN), obs.NotSent("429")).intent is Intent.START_RUN


def test_progress_survives_being_saved() -> None:
    progress = see(under_way(asks("a")), act.CallTools((), 0), obs.OutputReady("a", "\u5b8c\u6210 \U0001f600"))
    progress = replace(progress, outcome=answered(text("42")), wait_until=START + 1, poll_at=START + 2, calls=7)
    again = Progress.from_json(progress.to_json())
    assert (again, again.wait_until, again.poll_at, again.calls) == (progress, START + 1, START + 2, 7)


def test_time_without_a_worker_does_not_count_as_a_server_error() -> None:
    progress = see(under_way(), act.PollRun("run_1"), obs.Unknown("timeout"))
    progress = Progress.from_json(progress.to_json())
    assert see(progress, act.PollRun("run_1"), obs.Unknown("timeout"), after_s=2000).outcome is None


def test_polls_without_news_are_not_saved() -> None:
    progress = under_way()
    assert see(progress, act.PollRun("run_1"), replace(RUNNING, id="run_1", poll_after_s=3.0), after_s=9) == progress


def test_the_poll_before_an_answer_is_read_is_not_saved() -> None:
    saved, read_answer = under_way(), act.ReadAnswer("run_1")
    ended = see(saved, act.PollRun("run_1"), replace(COMPLETED, id="run_1"))

    assert not is_worth_saving(ended, saved, read_answer, START)
    assert is_worth_saving(ended, saved, None, START), "a job that is handed back"
    assert is_worth_saving(ended, JOB, read_answer, START), "no later attempt would know of the run"
    assert is_worth_saving(ended, replace(saved, intent=Intent.SUBMIT_OUTPUTS), read_answer, START)


def test_a_round_continued_under_another_id_belongs_to_the_same_run() -> None:
    call = obs.ToolCall("a", "weigh", "{}")
    part = obs.RunObservation("resp_1", "requires_action", (call,), usage=Usage(total_tokens=3), kind="response")
    asked = see(JOB, act.StartRun(1), part)
    answered = see(asked, act.CallTools((call,), START), obs.OutputReady("a", "7"))
    going_on = see(
        answered, act.SubmitOutputs("resp_1", {"a": "7"}), obs.RunObservation("resp_2", "queued", kind="response")
    )
    ended = see(
        going_on,
        act.PollRun("resp_2"),
        obs.RunObservation("resp_2", "completed", usage=Usage(total_tokens=4), kind="response"),
    )

    assert (ended.runs, ended.run and ended.run.rounds, ended.cost.usage.total_tokens) == (1, 1, 7)
    assert [each.id for each in ended.leftovers if each.kind == "response"] == ["resp_1", "resp_2"]
