"""Scenarios in which the server uses tools of its own, and what the steps and the answers hold of them."""

from typing import Any

import openai
import pytest
from openai import OpenAI

from threadmill_emulator.scripting.options import Options

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:.*Assistants API is deprecated.*:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning"),
]
OPTIONS = Options(run_s=0)

CONTENT: Any = "step_details.tool_calls[*].file_search.results[*].content"
AGAIN: Any = [{"role": "user", "content": "[[scenario=citations]]Where do herons nest?"}]
HERONS = b"Herons eat fish. Herons nest in trees. Storks nest on roofs."
FROGS = "Frogs fear herons. 青蛙怕蒼鷺。".encode()


def answered(client: OpenAI, thread_id: str, scenario: str, text: str, **settings: Any) -> Any:
    """The answer's message, and the run's steps."""
    run = client.beta.threads.runs.create(
        thread_id,
        assistant_id=f"asst_{scenario}",
        additional_messages=[{"role": "user", "content": text}],
        **settings,
    )
    (message,) = client.beta.threads.messages.list(thread_id, run_id=run.id).data
    return message, client.beta.threads.runs.steps.list(run.id, thread_id=thread_id, order="asc").data


def test_code_interpreter_computes_and_shows_its_code(client: OpenAI):
    thread = client.beta.threads.create()
    message, steps = answered(client, thread.id, "code_interpreter", "The first Fibonacci numbers, please")
    assert "0, 1, 1, 2, 3, 5, 8" in message.content[0].text.value
    assert [(step.type, step.status) for step in steps] == [
        ("tool_calls", "completed"),
        ("message_creation", "completed"),
    ]
    (call,) = steps[0].step_details.tool_calls
    assert "fibonacci(20)" in call.code_interpreter.input
    assert [output.logs[:7] for output in call.code_interpreter.outputs] == ["0, 1, 1"]


def test_a_plot_can_be_downloaded_and_asked_for_anew(client: OpenAI):
    thread = client.beta.threads.create()
    message, steps = answered(client, thread.id, "plot", "Plot a sine wave")
    picture, text = message.content
    assert "Here is the plot, a sine wave on a light background" in text.text.value
    light = client.files.content(picture.image_file.file_id).read()
    assert client.files.retrieve(picture.image_file.file_id).purpose == "assistants_output"
    (note,) = text.text.annotations
    assert text.text.value[note.start_index : note.end_index] == note.text == "sandbox:/mnt/data/sine.csv"
    assert client.files.content(note.file_path.file_id).read().startswith(b"x,y\n0.000000,0.000000\n")
    logs, image = steps[0].step_details.tool_calls[0].code_interpreter.outputs
    assert logs.logs.startswith("points 201")
    assert image.image.file_id == picture.image_file.file_id
    message, _ = answered(client, thread.id, "plot", "Now in dark mode")
    assert "I changed the earlier plot" in message.content[1].text.value
    assert "dark background" in message.content[1].text.value
    dark = client.files.content(message.content[0].image_file.file_id).read()
    assert dark.startswith(b"\x89PNG")
    assert dark != light


def uploaded(client: OpenAI, name: str, data: bytes) -> str:
    return client.files.create(file=(name, data), purpose="assistants").id


def test_citations_point_at_the_sentences_of_the_files(client: OpenAI):
    ids = [uploaded(client, "herons.txt", HERONS), uploaded(client, "frogs.md", FROGS)]
    store = client.vector_stores.create(file_ids=ids)
    thread = client.beta.threads.create(tool_resources={"file_search": {"vector_store_ids": [store.id]}})
    message, steps = answered(client, thread.id, "citations", "蒼鷺 Where do herons nest?")
    text = message.content[0].text
    assert [text.value[note.start_index : note.end_index] for note in text.annotations] == [
        "【4:0†source】",
        "【4:1†source】",
        "【4:2†source】",
    ]
    assert {note.file_citation.file_id for note in text.annotations} == set(ids)
    assert "Herons nest in trees.【4:0†source】" in text.value
    (call,) = steps[0].step_details.tool_calls
    best = call.file_search.results[0]
    assert (best.file_id, best.file_name, best.content) == (ids[0], "herons.txt", None)
    assert 0 < best.score <= 1
    assert call.file_search.ranking_options.ranker == "default_2024_08_21"


def test_the_text_of_the_results_comes_on_request(client: OpenAI):
    store = client.vector_stores.create(file_ids=[uploaded(client, "herons.txt", HERONS)])
    assistant = client.beta.assistants.create(
        model="m",
        tools=[{"type": "file_search", "file_search": {"max_num_results": 1}}],
        tool_resources={"file_search": {"vector_store_ids": [store.id]}},
    )
    run = client.beta.threads.create_and_run(
        assistant_id=assistant.id,
        thread={"messages": [{"role": "user", "content": "[[scenario=citations]]Where do herons nest?"}]},
    )
    steps = client.beta.threads.runs.steps
    with_text = steps.list(run.id, thread_id=run.thread_id, include=[CONTENT], order="asc").data[0]
    (result,) = with_text.step_details.tool_calls[0].file_search.results
    assert result.content[0].text == "Herons nest in trees."
    streamed = client.beta.threads.runs.create(
        run.thread_id, assistant_id=assistant.id, include=[CONTENT], stream=True, additional_messages=AGAIN
    )
    told = [event.data for event in streamed if event.event == "thread.run.step.completed"]
    assert told[0].step_details.tool_calls[0].file_search == with_text.step_details.tool_calls[0].file_search
    with pytest.raises(openai.BadRequestError, match="Supported values are: 'step_details"):
        steps.list(run.id, thread_id=run.thread_id, extra_query={"include[]": "everything"})


def test_without_files_or_findings_it_says_so(client: OpenAI):
    thread = client.beta.threads.create()
    message, steps = answered(client, thread.id, "citations", "Where do herons nest?")
    assert "There are no files to search" in message.content[0].text.value
    assert [step.type for step in steps] == ["message_creation"]
    store = client.vector_stores.create(file_ids=[uploaded(client, "herons.txt", HERONS)])
    client.beta.threads.update(thread.id, tool_resources={"file_search": {"vector_store_ids": [store.id]}})
    message, steps = answered(client, thread.id, "citations", "What is the capital of France?")
    assert "I searched herons.txt and found nothing" in message.content[0].text.value
    assert steps[0].step_details.tool_calls[0].file_search.results == []


@pytest.mark.parametrize("marker", ["scenario=bad_annotations", "scenario=citations quirks=bad_annotations"])
def test_bad_annotations(client: OpenAI, marker: str):
    file = uploaded(client, "herons.txt", HERONS)
    attached = [{"file_id": file, "tools": [{"type": "file_search"}]}]
    thread = client.beta.threads.create(messages=[{"role": "user", "content": "x", "attachments": attached}])
    message, _ = answered(client, thread.id, "emulator", f"[[{marker}]]Where do herons nest?")
    text = message.content[-1].text
    citations = [note for note in text.annotations if note.type == "file_citation"]
    assert text.value[citations[0].start_index : citations[0].end_index] != citations[0].text
    assert text.value.count("†source】") == len(citations) + 1, "one marker has no annotation"
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(citations[-1].file_citation.file_id)


def test_tools_of_the_servers_own_leave_the_default_answer_alone(client: OpenAI):
    thread, tools = client.beta.threads.create(), [{"type": "code_interpreter"}, {"type": "file_search"}]
    message, steps = answered(client, thread.id, "emulator", "What is a heron?", tools=tools)
    assert message.content[0].text.value.startswith("*Emulated answer")
    assert [step.type for step in steps] == ["message_creation"]
