"""What a client sees of each scenario, on a clock that the tests move."""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI
from openai.types.beta.threads import Message, Run
from tests.integration.emulator.conftest import Clock

from threadmill_emulator.scripting.options import Options
from threadmill_emulator.scripting.scenarios import QUIRKS, SCENARIOS
from threadmill_emulator.testing import Running

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:.*Assistants API is deprecated.*:DeprecationWarning"),
]

SEARCH = {
    "type": "function",
    "function": {
        "name": "look_up",
        "parameters": {
            "type": "object",
            "properties": {"query": {"type": "object", "properties": {"q": {"type": "string"}}}},
        },
    },
}


CLOCK = Clock(1_700_000_000.25)
OPTIONS = Options(run_s=10)


class Conversation:
    """One thread, driven by hand."""

    def __init__(self, client: OpenAI, clock: Clock) -> None:
        self.client, self.clock = client, clock
        self.thread_id = client.beta.threads.create().id

    def start(self, text: str, assistant: str = "asst_emulator", **settings: Any) -> Run:
        messages = [{"role": "user", "content": text}]
        self.run = self.client.beta.threads.runs.create(
            self.thread_id, assistant_id=assistant, additional_messages=messages, **settings
        )
        return self.run

    def again(self) -> Run:
        self.run = self.client.beta.threads.runs.create(self.thread_id, assistant_id="asst_emulator")
        return self.after(10)

    def after(self, seconds: float) -> Run:
        self.clock.now += seconds
        self.run = self.client.beta.threads.runs.retrieve(self.run.id, thread_id=self.thread_id)
        return self.run

    def submit(self, output: str = "out") -> Run:
        calls = self.run.required_action.submit_tool_outputs.tool_calls
        self.run = self.client.beta.threads.runs.submit_tool_outputs(
            self.run.id,
            thread_id=self.thread_id,
            tool_outputs=[{"tool_call_id": call.id, "output": output} for call in calls],
        )
        return self.run

    def messages(self) -> list[Message]:
        """What the run wrote, oldest first."""
        return self.client.beta.threads.messages.list(self.thread_id, run_id=self.run.id, order="asc").data

    def text(self) -> str:
        return "".join(message.content[0].text.value for message in self.messages())


@pytest.fixture
def strict(server: Running) -> Iterator[OpenAI]:
    with OpenAI(base_url=server.base_url, api_key="k", max_retries=0, _strict_response_validation=True) as client:
        yield client


@pytest.fixture
def talk(strict: OpenAI, clock: Clock) -> Conversation:
    return Conversation(strict, clock)


@pytest.fixture
def lenient(server: Running, clock: Clock) -> Iterator[Conversation]:
    """For quirks that the strict client would rightly refuse."""
    with OpenAI(base_url=server.base_url, api_key="k", max_retries=0) as client:
        yield Conversation(client, clock)


def test_an_assistant_names_its_scenario(talk: Conversation):
    talk.start("hello there", assistant="asst_echo")
    assert talk.after(10).status == "completed"
    assert talk.text() == "hello there"


def test_a_marker_sets_the_time_and_is_not_part_of_the_answer(talk: Conversation):
    talk.start("[[scenario=echo run_s=100]] hello")
    assert talk.after(99).status == "in_progress"
    assert talk.after(1).status == "completed"
    assert talk.text() == "hello"


def test_tools_calls_the_declared_function_and_quotes_the_output(talk: Conversation):
    talk.start("[[scenario=tools]]where do herons nest", tools=[SEARCH])
    (call,) = talk.after(5).required_action.submit_tool_outputs.tool_calls
    assert call.function.name == "look_up"
    assert json.loads(call.function.arguments) == {"query": {"q": "where do herons nest"}}
    assert talk.submit("in trees").status == "queued"
    assert talk.run.required_action is None
    assert talk.after(5).status == "completed"
    assert "look_up answered:\n\n> in trees" in talk.text()


def test_tools_without_a_declared_function(talk: Conversation):
    talk.start("[[scenario=tools tool=BIG]]x")
    (call,) = talk.after(5).required_action.submit_tool_outputs.tool_calls
    assert call.function.name == "BIG"
    assert json.loads(call.function.arguments)["query"]["text"] == "x"


def test_parallel_tools_and_tool_rounds(talk: Conversation):
    talk.start("[[scenario=parallel_tools]]x")
    assert len(talk.after(5).required_action.submit_tool_outputs.tool_calls) == 3
    talk.submit()
    assert talk.after(5).status == "completed"
    talk.start("[[scenario=tool_rounds n=2 run_s=9]]x")
    seen = set()
    for _ in range(2):
        (call,) = talk.after(3).required_action.submit_tool_outputs.tool_calls
        seen.add(call.id)
        talk.submit()
    assert talk.after(3).status == "completed"
    assert len(seen) == 2


def test_bad_arguments_and_unknown_tools(talk: Conversation):
    talk.start("[[scenario=bad_arguments]]x")
    (call,) = talk.after(5).required_action.submit_tool_outputs.tool_calls
    with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
        json.loads(call.function.arguments)
    talk.submit()
    talk.after(5)
    talk.start("[[scenario=unknown_tool]]x", tools=[SEARCH])
    (call,) = talk.after(5).required_action.submit_tool_outputs.tool_calls
    assert call.function.name == "no_such_tool"


def test_slow_requires_lists_no_calls_at_first(talk: Conversation):
    talk.start("[[scenario=slow_requires looks=2]]x")
    counts = [len(talk.after(5).required_action.submit_tool_outputs.tool_calls)]
    counts += [len(talk.after(0).required_action.submit_tool_outputs.tool_calls) for _ in range(2)]
    assert counts == [0, 0, 1]


@pytest.mark.parametrize(
    ("scenario", "code", "words"),
    [
        ("failed", "server_error", "something went wrong"),
        ("rate_limited", "rate_limit_exceeded", "Please try again in 1s."),
        ("quota", "rate_limit_exceeded", "You exceeded your current quota"),
        ("invalid_prompt", "invalid_prompt", "Invalid prompt"),
    ],
)
def test_failures(talk: Conversation, scenario: str, code: str, words: str):
    talk.start(f"[[scenario={scenario}]]x")
    run = talk.after(10)
    assert (run.status, run.last_error.code) == ("failed", code)
    assert words in run.last_error.message
    assert run.failed_at
    assert run.usage
    assert talk.messages() == []
    assert talk.again().status == "failed"


@pytest.mark.parametrize(("scenario", "first"), [("failed_once", "failed"), ("expired_once", "expired")])
def test_the_next_run_on_the_thread_completes(talk: Conversation, scenario: str, first: str):
    talk.start(f"[[scenario={scenario}]]x")
    assert talk.after(10).status == first
    assert talk.again().status == "completed"


def test_times_may_be_counted_over_threads_by_a_key(strict: OpenAI, clock: Clock):
    seen = []
    for _ in range(3):
        talk = Conversation(strict, clock)
        talk.start("[[scenario=rate_limited times=2 key=job-7]]x")
        seen.append(talk.after(10).status)
    assert seen == ["failed", "failed", "completed"]


def test_a_code_nobody_knows(lenient: Conversation):
    lenient.start("[[scenario=content_filter]]x")
    assert lenient.after(10).last_error.code == "content_filter"


def test_expiry(talk: Conversation):
    talk.start("[[scenario=expired run_s=3]]x")
    run = talk.after(3)
    assert (run.status, run.usage, run.completed_at) == ("expired", None, None)
    assert run.expires_at == run.created_at + 4, "whole seconds, rounded up"
    talk.start("[[scenario=expired_tools expires_s=30]]x")
    assert talk.after(29).status == "requires_action"
    assert talk.after(1).status == "expired"
    with pytest.raises(openai.BadRequestError, match='Runs in status "expired" do not accept tool outputs'):
        talk.client.beta.threads.runs.submit_tool_outputs(talk.run.id, thread_id=talk.thread_id, tool_outputs=[])


def test_runs_live_ten_minutes(talk: Conversation):
    talk.start("[[run_s=1000]]x")
    assert talk.after(599).status == "in_progress"
    assert talk.after(1).status == "expired"


def test_incomplete_leaves_partial_text(talk: Conversation):
    talk.start("[[scenario=incomplete reason=max_prompt_tokens]]a long story")
    run = talk.after(10)
    assert (run.status, run.incomplete_details.reason) == ("incomplete", "max_prompt_tokens")
    (message,) = talk.messages()
    assert (message.status, message.incomplete_details.reason) == ("incomplete", "max_tokens")
    assert message.content[0].text.value


def test_cancelling(talk: Conversation):
    cancel = talk.client.beta.threads.runs.cancel
    talk.start("[[cancel_s=2]]x")
    assert cancel(talk.run.id, thread_id=talk.thread_id).status == "cancelling"
    assert talk.after(1).status == "cancelling"
    run = talk.after(1)
    assert (run.status, bool(run.cancelled_at)) == ("cancelled", True)
    talk.start("[[scenario=stuck lock=yes]]x")
    cancel(talk.run.id, thread_id=talk.thread_id)
    assert talk.after(1e6).status == "cancelling"


def test_a_server_that_cancels_by_itself(talk: Conversation):
    talk.start("x", assistant="asst_cancelled")
    assert talk.after(10).status == "cancelled"


@pytest.mark.parametrize(("scenario", "status"), [("stuck_queued", "queued"), ("stuck", "in_progress")])
def test_stuck_runs_never_end_but_can_be_cancelled(talk: Conversation, scenario: str, status: str):
    talk.start(f"[[scenario={scenario}]]x")
    assert talk.after(1e6).status == status
    talk.client.beta.threads.runs.cancel(talk.run.id, thread_id=talk.thread_id)
    assert talk.after(1).status == "cancelled"


def test_a_status_nobody_knows(lenient: Conversation):
    lenient.start("[[scenario=unknown_status]]x")
    assert lenient.after(1e6).status == "paused"


def test_answers_without_text(talk: Conversation):
    talk.start("x", assistant="asst_empty")
    assert talk.after(10).status == "completed"
    assert talk.messages() == []
    talk.start("x", assistant="asst_empty_text")
    talk.after(10)
    assert talk.text() == ""
    talk.start("x", assistant="asst_refusal")
    talk.after(10)
    assert talk.messages()[0].content[0].refusal.startswith("I'm sorry")


def test_two_messages(talk: Conversation):
    talk.start("x", assistant="asst_two_messages")
    talk.after(10)
    first, second = talk.messages()
    assert first.content[0].text.value == "Let me see."
    assert "x" in second.content[0].text.value


def test_blocks_refer_to_files_that_can_be_downloaded(talk: Conversation):
    talk.start("說明蒼鷺", assistant="asst_blocks")
    talk.after(10)
    (message,) = talk.messages()
    assert [block.type for block in message.content] == ["text", "image_file", "text"]
    files = talk.client.files
    assert files.content(message.content[1].image_file.file_id).read().startswith(b"\x89PNG")
    text = message.content[2].text
    assert [note.type for note in text.annotations] == ["file_citation", "file_citation", "file_path"]
    for note in text.annotations:
        assert text.value[note.start_index : note.end_index] == note.text
        linked = note.file_citation if note.type == "file_citation" else note.file_path
        assert files.retrieve(linked.file_id).filename in ("source.txt", "terms.csv")
        assert "說明蒼鷺" in files.content(linked.file_id).read().decode()


def test_string_content(lenient: Conversation):
    lenient.start("x", assistant="asst_string_content")
    lenient.after(10)
    assert isinstance(lenient.messages()[0].content, str)


def test_empty_required_action(lenient: Conversation):
    lenient.start("x", assistant="asst_empty_required_action")
    lenient.after(5)
    raw = lenient.submit()
    assert raw.to_dict()["required_action"] == {}


def test_bare_error_and_sparse_runs(lenient: Conversation):
    lenient.start("x", assistant="asst_bare_error")
    assert lenient.after(10).last_error == "Something broke."
    lenient.start("x", assistant="asst_sparse")
    assert lenient.after(10).to_dict().keys().isdisjoint({"last_error", "required_action", "expires_at", "tools"})


def test_float_times_put_the_question_before_the_answer(lenient: Conversation):
    lenient.start("[[run_s=0]]x", assistant="asst_float_times")
    assert isinstance(lenient.after(0).created_at, float)
    newest_first = lenient.client.beta.threads.messages.list(lenient.thread_id).data
    assert [message.role for message in newest_first] == ["user", "assistant"]


def test_no_run_filter(lenient: Conversation):
    lenient.start("x", assistant="asst_no_run_filter")
    lenient.after(10)
    assert [(m.role, m.run_id) for m in lenient.messages()] == [("user", None), ("assistant", None)]


def test_the_other_quirks(lenient: Conversation):
    assert lenient.start("x", assistant="asst_no_expires_at").expires_at is None
    lenient.after(10)
    lenient.start("[[scenario=tools quirks=refuses_cancel,single_outputs calls=2]]x")
    with pytest.raises(openai.BadRequestError, match="Cannot cancel run with status 'queued'"):
        lenient.client.beta.threads.runs.cancel(lenient.run.id, thread_id=lenient.thread_id)
    first, second = lenient.after(5).required_action.submit_tool_outputs.tool_calls
    outputs = [{"tool_call_id": first.id, "output": "x"}]
    run = lenient.client.beta.threads.runs.submit_tool_outputs(
        lenient.run.id, thread_id=lenient.thread_id, tool_outputs=outputs
    )
    assert [call.id for call in run.required_action.submit_tool_outputs.tool_calls] == [second.id]


@pytest.mark.parametrize("status", [404, 500])
def test_outputs_nobody_waits_for(lenient: Conversation, status: int):
    lenient.start(f"[[scenario=late_submit_{status}]]x")
    lenient.after(5)
    waiting = lenient.run
    lenient.submit()
    lenient.run = waiting
    with pytest.raises(openai.APIStatusError) as error:
        lenient.submit()
    assert error.value.status_code == status
    assert lenient.after(5).status == "completed"


def test_a_thread_without_a_lock(lenient: Conversation):
    first = lenient.start("x", assistant="asst_no_lock")
    lenient.client.beta.threads.messages.create(lenient.thread_id, role="user", content="[[scenario=echo]]more")
    second = lenient.again()
    assert (second.status, lenient.text()) == ("completed", "x\n\nmore")
    lenient.run = first
    assert (lenient.after(0).status, lenient.run.last_error.code) == ("failed", "server_error")
    lenient.start("y", assistant="asst_no_lock")
    assert lenient.client.beta.threads.delete(lenient.thread_id).deleted


def test_not_found_in_plain_text(lenient: Conversation):
    lenient.start("x", assistant="asst_plain_not_found")
    lenient.after(10)
    threads = lenient.client.beta.threads
    threads.delete(lenient.thread_id)
    for call in (threads.delete, threads.retrieve):
        with pytest.raises(openai.InternalServerError) as error:
            call(lenient.thread_id)
        assert error.value.response.text == "Internal Server Error"
    with pytest.raises(openai.NotFoundError):
        threads.retrieve("thread_x")


@pytest.mark.parametrize("scenario", sorted(SCENARIOS.keys() - QUIRKS.keys() - {"unknown_status", "content_filter"}))
def test_every_other_scenario_keeps_to_the_wire_format(talk: Conversation, scenario: str):
    talk.start("x", assistant=f"asst_{scenario}")
    for _ in range(4):
        if talk.after(5).status == "requires_action":
            talk.submit() if talk.run.required_action.submit_tool_outputs.tool_calls else None
    talk.messages()
    talk.client.beta.threads.runs.steps.list(talk.run.id, thread_id=talk.thread_id)
