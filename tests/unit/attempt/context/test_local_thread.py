"""A job continues a local thread only with its messages; its record says what was dropped, and names no key."""

from datetime import UTC, datetime
from typing import Any

import pytest

from threadmill import PromptJob
from threadmill.settings.endpoints.endpoint import Endpoint
from threadmill.store.records.remote import TRANSCRIPT_LIMIT, KeptThread, Transcript
from threadmill_worker.attempt.context.local_thread import check_local
from threadmill_worker.attempt.context.not_served import NotServed
from threadmill_worker.attempt.ending import kept_thread, shortened
from threadmill_worker.drivers.base.driver import ThreadState
from threadmill_worker.drivers.requests.job_spec import JobSpec
from threadmill_worker.lifecycle.progress import Features, Progress

NOW = datetime.now(UTC)
CHAT = Endpoint(kind="chat", base_url="http://127.0.0.1/v1")
RESPONSES = Endpoint(kind="responses", base_url="http://127.0.0.1/v1")
TALK = ({"role": "user", "content": "x" * 100}, {"role": "assistant", "content": "y"}) * 10


def kept(kind: Any = "local", *, is_there: bool = True, **fields: Any) -> KeptThread:
    transcript = Transcript(items=TALK) if is_there else None
    return KeptThread(
        endpoint="e", id="t", kind=kind, job_id="j", created_at=NOW, used_at=NOW, transcript=transcript, **fields
    )


def test_a_job_on_a_local_thread_with_messages_is_served():
    check_local("t", kept(), "e", CHAT)


@pytest.mark.parametrize(
    ("thread", "endpoint", "reason"),
    [
        (None, CHAT, "it has expired .* was deleted, or no job has kept it"),
        (kept(is_there=False), CHAT, "have expired or were lost"),
        (kept(), RESPONSES, "had another `kind`.* now .responses."),
        (kept("chain"), CHAT, "had another `kind`.* now .chat."),
    ],
)
def test_a_job_that_would_be_answered_without_what_was_said_is_not_served(thread, endpoint, reason):
    with pytest.raises(NotServed, match=f"{reason}.*on a new thread") as refused:
        check_local("t", thread, "e", endpoint)
    assert not refused.value.failure.retryable


def test_what_was_dropped_adds_up_and_the_record_names_no_key():
    state, lost = shortened(ThreadState("local", transcript=Transcript(items=TALK)), 500)
    assert lost is not None
    spec = JobSpec("j", PromptJob(prompt="Why?", thread="t"), "e", kept=kept(dropped=7))
    progress = Progress(deadline_at=0, messages=1, thread_id="t", features=Features(), key="A_KEY")
    record = kept_thread("j", spec, progress, state, lost.dropped, NOW)

    assert record.dropped == 7 + lost.dropped
    assert len(record.transcript.items) == len(TALK) - lost.dropped
    assert record.key is None


def test_a_thread_that_fits_and_a_chain_stay_as_they_are():
    for state in (
        ThreadState("local", transcript=Transcript(items=TALK)),
        ThreadState("local"),
        ThreadState("chain", "resp_1", Transcript(items=TALK)),
    ):
        assert shortened(state, 10_000) == (state, None)
    chain = ThreadState("chain", "resp_1", Transcript(items=TALK))
    assert shortened(chain, 1) == (chain, None)


def test_a_long_transcript_of_a_chain_is_not_stored_and_one_message_of_a_local_thread_is():
    long = Transcript(items=({"role": "user", "content": "x" * TRANSCRIPT_LIMIT},))
    assert kept("chain").model_copy(update={"transcript": long}).transcript_json is None
    assert len(kept("local").model_copy(update={"transcript": long}).transcript_json or "") > TRANSCRIPT_LIMIT


@pytest.mark.parametrize(
    ("kind", "id", "has_transcript", "leftovers"),
    [
        ("local", "t", True, []),
        ("chain", "t", True, ["response", "file"]),
        (None, "resp_1", True, ["response", "file"]),
        ("conversation", "t", False, ["thread", "file"]),
        (None, "thread_1", False, ["thread", "file"]),
    ],
)
def test_the_kind_says_where_the_messages_are_and_what_is_deleted(kind, id, has_transcript, leftovers):
    thread = kept(kind, things={"file-1": "file"}).model_copy(update={"id": id})
    assert thread.has_transcript is has_transcript
    assert [each.kind for each in thread.leftovers] == leftovers
