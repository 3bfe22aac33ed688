"""Files, threads that live on and answers with more than text, told as stories."""

from dataclasses import replace

import pytest
from tests.unit.lifecycle.story import COMPLETED, GONE, LOST, REFUSED, asks, play

from threadmill.job.result import Artifact, FailureKind, JobState
from threadmill.settings.endpoints.run_limits import RunLimits
from threadmill_worker.lifecycle import actions as act
from threadmill_worker.lifecycle import observations as obs
from threadmill_worker.lifecycle.progress import Features, Leftover

CITED = {
    "type": "file_citation",
    "text": "【1】",
    "start_index": 2,
    "end_index": 5,
    "file_citation": {"file_id": "file-cited"},
}
RICH = obs.AnswerRead(
    (
        {"type": "image_file", "image_file": {"file_id": "file-made"}},
        {
            "type": "text",
            "text": {"value": "so【1】", "annotations": [CITED]},
        },
    )
)
JSON = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object", "required": ["n"]}}}


def says(text: str) -> obs.AnswerRead:
    return obs.AnswerRead(({"type": "text", "text": {"value": text, "annotations": []}},))


def test_files_are_uploaded_made_searchable_and_deleted_after_the_thread() -> None:
    story = play(features=Features(uploads=2, search=True))
    assert story.calls == (
        "Upload Upload CreateStore PollStore CreateThread StartRun PollRun ReadAnswer Delete Delete Delete Delete"
    )
    deleted = [action.leftover.kind for action in story.actions if isinstance(action, act.Delete)]
    assert deleted == ["thread", "file", "file", "vector_store"]
    assert story.progress.leftovers == ()


def test_what_a_batch_shares_is_not_deleted_by_one_of_its_jobs() -> None:
    script = {
        act.Upload: [obs.Uploaded("file-1", shared=True)],
        act.CreateStore: [obs.StoreSeen("vs_1", ready=True, shared=True)],
    }
    story = play(script, features=Features(uploads=1, search=True))
    assert [action.leftover.kind for action in story.actions if isinstance(action, act.Delete)] == ["thread"]


def test_a_refused_upload_ends_the_job_before_a_thread_is_made() -> None:
    story = play({act.Upload: [obs.Uploaded("file-1"), REFUSED]}, features=Features(uploads=2))
    assert story.calls == "Upload Upload Delete"
    assert story.kind is FailureKind.UNAUTHORISED


def test_an_upload_whose_reply_was_lost_is_counted_and_made_again() -> None:
    story = play(
        {act.Upload: [LOST, obs.Uploaded("file-1")], act.Resolve: [obs.Untraceable()]}, features=Features(uploads=1)
    )
    assert story.calls.startswith("Upload Resolve Upload CreateThread")
    assert story.progress.lost.files == 1


def test_a_store_whose_reply_was_lost_is_found_again() -> None:
    script = {act.CreateStore: [LOST], act.Resolve: [obs.StoreSeen("vs_found", ready=True)]}
    story = play(script, features=Features(uploads=1, search=True))
    assert story.calls.startswith("Upload CreateStore Resolve CreateThread")
    assert act.Delete(Leftover("vector_store", "vs_found")) in story.actions


def test_files_that_never_become_searchable_end_the_job_as_stuck() -> None:
    story = play({act.PollStore: [obs.StoreSeen("vs_1", ready=False)]}, features=Features(uploads=1, search=True))
    assert story.kind is FailureKind.STUCK
    assert RunLimits().indexing_limit_s <= story.moments[-1] < RunLimits().indexing_limit_s + 1
    assert story.progress.leftovers == ()


def test_files_the_model_made_are_stored_cited_ones_named_and_all_deleted() -> None:
    story = play({act.ReadAnswer: [RICH]}, features=Features(steps=True))
    assert story.calls == "CreateThread StartRun PollRun ReadAnswer Download NameFile ReadSteps Delete Delete"
    assert [each.name for each in story.outcome.files] == ["chart.png"]
    assert [each.name for each in story.outcome.citations] == ["source.txt"]
    assert "so[1]" in story.outcome.text
    assert "[1] source.txt" in story.outcome.text
    assert story.outcome.steps[0]["logs"] == "2"


def test_an_answer_is_not_lost_for_files_that_cannot_be_had() -> None:
    script = {act.ReadAnswer: [RICH], act.Download: [REFUSED], act.NameFile: [GONE], act.ReadSteps: [GONE]}
    story = play(script, features=Features(steps=True))
    assert story.outcome.state is JobState.SUCCEEDED
    assert story.outcome.files[0].error
    assert story.outcome.citations[0].name == "file-cited"
    assert act.Delete(Leftover("file", "file-made")) not in story.actions, "the only copy is the server's"


def test_steps_that_cannot_be_read_again_are_those_that_the_replies_showed() -> None:
    call = {"type": "function", "name": "weigh", "arguments": "{}", "call_id": "a"}
    search = {"type": "file_search", "results": []}
    first, last = replace(asks("a"), steps=(call,)), replace(COMPLETED, steps=(search,))
    a_call = {"type": "function", "name": "weigh", "arguments": "{}", "output": "a done"}
    for shown in (last, replace(last, is_kept=False)):
        story = play({act.PollRun: [first, shown], act.ReadSteps: [GONE]}, features=Features(steps=True))
        assert (story.outcome.steps, story.outcome.missing_steps) == ((a_call, search), None)
        assert story.calls.count("ReadSteps") == shown.is_kept


@pytest.mark.parametrize(("kept", "reason"), [(True, "404 no such run"), (False, "the server does not keep its")])
def test_unavailable_steps_are_reported_as_missing(kept: bool, reason: str) -> None:
    view = replace(COMPLETED, is_kept=kept)
    story = play({act.PollRun: [view], act.ReadSteps: [obs.Gone("404 no such run")]}, features=Features(steps=True))
    assert story.outcome.state is JobState.SUCCEEDED
    assert story.outcome.steps == ()
    assert (story.outcome.missing_steps or "").startswith(reason)


def test_a_file_that_could_not_be_stored_stays_on_the_server() -> None:
    error = Artifact(file_id="file-made", name="chart.png", error="has more than 100 bytes")
    story = play({act.ReadAnswer: [RICH], act.Download: [obs.Downloaded(error)]})
    assert story.calls.count("Delete") == 1
    assert story.outcome.files == (error,)


def test_past_the_deadline_an_answer_is_completed_with_a_few_tries() -> None:
    story = play({act.ReadAnswer: [RICH], act.Download: [obs.NotSent("busy")]}, overdue_at=act.ReadAnswer)
    assert story.outcome.state is JobState.SUCCEEDED
    assert len(story.times(act.Download)) == 3


def test_files_of_a_run_completed_during_cancelling_are_deleted() -> None:
    story = play({act.ReadAnswer: [RICH]}, cancel_at=act.ReadAnswer)
    assert story.outcome.state is JobState.CANCELLED
    assert act.Delete(Leftover("file", "file-made")) in story.actions


def test_an_answer_that_does_not_fit_is_asked_for_once_more() -> None:
    story = play({act.ReadAnswer: [says("no"), says('{"n": 1}')]}, features=Features(response_format=JSON))
    assert story.calls == "CreateThread StartRun PollRun ReadAnswer StartRun PollRun ReadAnswer Delete"
    assert story.outcome.parsed == {"n": 1}
    assert story.progress.reruns == 0


def test_a_second_misfit_fails_the_job_with_its_text() -> None:
    story = play({act.ReadAnswer: [says("no")]}, features=Features(response_format=JSON))
    assert story.kind is FailureKind.INVALID_ANSWER
    assert story.outcome.text == "no"
    assert len(story.times(act.StartRun)) == 2


def test_a_kept_thread_lives_on_with_its_files() -> None:
    story = play(features=Features(uploads=1, keep_thread=True))
    assert "Delete" not in story.calls
    assert {each.kind for each in story.progress.leftovers} == {"thread", "file"}


def test_a_thread_to_be_kept_is_deleted_when_its_job_failed() -> None:
    story = play({act.StartRun: [REFUSED]}, features=Features(keep_thread=True))
    assert story.calls.endswith("Delete")


def test_a_job_continues_an_existing_thread() -> None:
    story = play(features=Features(continues=True), messages=2)
    assert story.calls == "AddMessage AddMessage StartRun PollRun ReadAnswer"
    assert story.progress.thread_id == "thread_before"


def test_a_thread_that_was_there_is_given_a_store_or_has_one() -> None:
    without = play(features=Features(uploads=1, search=True, continues=True))
    assert without.calls.startswith("Upload InspectThread CreateStore PollStore AttachStore AddMessage")
    having = play(
        {act.InspectThread: [obs.ThreadSeen("vs_theirs")]}, features=Features(uploads=1, search=True, continues=True)
    )
    assert having.calls == "Upload InspectThread AddMessage PollStore StartRun PollRun ReadAnswer"
    assert {each.kind for each in having.progress.leftovers} == {"file"}


def test_files_that_join_a_store_are_awaited_before_the_run() -> None:
    features = Features(uploads=1, search=True, continues=True)
    joined, awaited = (
        obs.ThreadSeen("vs_theirs"),
        obs.StoreSeen("vs_theirs", ready=False, detail="0 of 1 files are searchable"),
    )
    script = {act.InspectThread: [joined], act.PollStore: [awaited, awaited, replace(awaited, ready=True)]}
    story = play(script, messages=2, features=features)
    assert story.calls.startswith("Upload InspectThread AddMessage AddMessage PollStore PollStore PollStore Start")
    never = play({act.InspectThread: [joined], act.PollStore: [awaited]}, features=features)
    assert never.kind is FailureKind.STUCK
    assert "StartRun" not in never.calls


def test_no_other_thread_will_do() -> None:
    gone = play({act.AddMessage: [GONE]}, features=Features(continues=True))
    assert gone.calls == "AddMessage"
    assert gone.kind is FailureKind.REJECTED
    stuck = play({act.PollRun: [obs.RunObservation("?", "in_progress")]}, features=Features(continues=True))
    assert stuck.kind is FailureKind.STUCK
    assert "CreateThread" not in stuck.calls
    assert "Delete" not in stuck.calls


def test_a_foreign_run_is_awaited_or_stopped() -> None:
    locked = obs.Unknown(
        "Thread thread_before already has an active run run_theirs.", FailureKind.REJECTED, "run_theirs"
    )
    script = {act.StartRun: [locked, obs.RunObservation("?", "queued")]}
    waited = play(script, features=Features(continues=True))
    assert waited.calls == "AddMessage StartRun Resolve StartRun PollRun ReadAnswer"
    stopped = play(script, features=Features(continues=True), limits=RunLimits(on_locked_thread="cancel"))
    assert stopped.calls == "AddMessage StartRun Resolve Unlock StartRun PollRun ReadAnswer"


def test_thread_and_run_are_created_in_one_call_where_possible() -> None:
    made = obs.ThreadCreated("thread_1", obs.RunObservation("run_1", "queued"))
    story = play({act.CreateThread: [made], act.PollRun: [COMPLETED]}, features=Features(at_once=True))
    assert story.calls == "CreateThread PollRun ReadAnswer Delete"
    assert story.progress.runs == 1


def test_an_unreadable_vector_store_is_the_jobs_failure() -> None:
    refused = obs.Rejected(REFUSED.failure.model_copy(update={"kind": FailureKind.REJECTED}))
    story = play({act.PollStore: [refused]}, features=Features(uploads=1, search=True))
    assert story.kind is FailureKind.REJECTED
    assert story.progress.leftovers == ()
