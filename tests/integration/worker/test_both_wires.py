"""One job, two wires: whichever API its server speaks, the result is the same, and nothing is left behind."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from threadmill import FailureKind, JobState
from threadmill.settings.profile import Profile
from threadmill_emulator.runs.replies import PNG
from threadmill_worker.admin.probe import EndpointUnusable, probe

pytestmark = pytest.mark.integration

WIRES: dict[str, dict[str, Any]] = {
    "assistants": {},
    "responses": {"wire": "responses", "model": "emulator-1", "assistant": None},
}
PROMPT = "Why is the sky blue?"
SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "n",
        "schema": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]},
    },
}


@pytest.fixture(params=WIRES)
def settings(request: pytest.FixtureRequest, make_settings: Any, emulator: Any, tmp_path: Path) -> Any:
    marked = request.node.get_closest_marker("endpoint")
    endpoint = WIRES[request.param] | (marked.kwargs if marked else {})
    return make_settings(emulator.base_url, endpoint, file_roots=(tmp_path,))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "policy.txt").write_text("Travel is booked a week ahead. Meals are covered up to 40 euros.")
    (tmp_path / "table.csv").write_text("city,days\nParis,3\n")
    (tmp_path / "photo.png").write_bytes(PNG)
    return tmp_path


def left(emulator: Any) -> dict[str, int]:
    stats = emulator.stats()
    kinds = ("threads", "responses", "conversations", "containers", "files", "vector_stores")
    return {kind: stats[kind]["alive"] for kind in kinds if stats[kind]["alive"]}


@pytest.mark.parametrize(
    ("scenario", "says"),
    [
        ("emulator", PROMPT),
        ("echo", PROMPT),
        ("tools", "SEARCH answered"),
        ("parallel_tools", "SEARCH answered"),
        ("tool_rounds", "SEARCH answered"),
        ("bad_arguments", "SEARCH answered"),
        ("failed_once", PROMPT),
        ("refusal", "I'm sorry"),
    ],
)
async def test_a_job_that_succeeds(scenario, says, worker, emulator):
    result = await worker.run(f"[[scenario={scenario}]]{PROMPT}")

    assert (result.state, result.failure) == (JobState.SUCCEEDED, None)
    assert says in result.text
    assert result.runs == (2 if scenario == "failed_once" else 1)
    assert result.usage.total_tokens > 0
    assert (result.model, result.lane) == ("emulator-1", None)
    assert left(emulator) == {}


@pytest.mark.parametrize(
    ("scenario", "kind", "runs"),
    [
        ("failed", FailureKind.SERVER_ERROR, 3),
        ("quota", FailureKind.QUOTA, 1),
        ("invalid_prompt", FailureKind.INVALID_PROMPT, 1),
        ("incomplete", FailureKind.INCOMPLETE, 1),
        ("empty", FailureKind.EMPTY_ANSWER, 1),
    ],
)
async def test_a_job_that_fails(scenario, kind, runs, worker, emulator):
    result = await worker.run(f"[[scenario={scenario}]]{PROMPT}")

    assert (result.failure.kind, result.runs) == (kind, runs)
    assert left(emulator) == {}


async def test_a_history_with_an_image(folder, worker, emulator):
    history = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hello, what is it?"}]
    result = await worker.run("What is this?", messages=history, images=[str(folder / "photo.png")])

    assert "image/png" in result.text
    assert left(emulator) == {}


@pytest.mark.endpoint(data_urls=False)
async def test_an_image_that_is_uploaded(folder, worker, emulator):
    result = await worker.run("What is this?", images=[str(folder / "photo.png")])

    assert "photo.png" in result.text
    assert left(emulator) == {}


async def test_a_file_is_searched_and_cited(folder, worker, emulator):
    result = await worker.run(
        "[[scenario=citations]]Meals are covered up to what?",
        files=[str(folder / "policy.txt")],
        tools=["file_search"],
        include_steps=True,
    )

    assert "40 euros.[1]" in result.text
    assert [(each.number, each.name) for each in result.citations] == [(1, "policy.txt")]
    assert "40 euros" in result.citations[0].quote
    assert left(emulator) == {}


async def test_code_runs_and_its_files_are_fetched(folder, worker, emulator):
    result = await worker.run(
        "[[scenario=plot]]Plot a sine wave",
        files=[{"path": str(folder / "table.csv"), "tools": ["code_interpreter"]}],
        tools=["code_interpreter"],
        include_steps=True,
    )

    assert {each.name: each.media_type for each in result.files} == {"sine.png": "image/png", "sine.csv": "text/csv"}
    assert all(Path(each.uri).stat().st_size == each.size for each in result.files)  # noqa: ASYNC240
    assert [step["type"] for step in result.steps] == ["code_interpreter"]
    assert left(emulator) == {}


async def test_a_follow_up_continues_where_the_first_job_ended(worker, emulator):
    code = {"tools": ["code_interpreter"]}
    first = await worker.run("[[scenario=plot]]Plot a sine wave", keep_thread=True, **code)
    second = await worker.run("[[scenario=plot]]Now in dark mode", thread=first.thread_id, **code)

    assert "I changed the earlier plot" in second.text
    assert (first.thread_id, len(worker.client.threads())) == (second.thread_id, 1)
    worker.client.delete_thread(first.thread_id)
    await worker.process.clean_up()
    assert left(emulator) == {}


async def test_an_answer_in_json(worker):
    result = await worker.run("How many?", response_format=SCHEMA)
    assert isinstance(result.parsed["n"], int)


async def test_a_running_job_is_cancelled(worker, emulator, until):
    job = worker.create("[[run_s=60]]Well?")
    running = asyncio.create_task(worker.see_through(job))
    await asyncio.to_thread(until, lambda: emulator.sent("POST", "/runs") or emulator.sent("POST", "/responses"))
    worker.client.cancel(job)
    result = await running

    assert result.state is JobState.CANCELLED
    assert left(emulator) == {}


async def test_an_overdue_run_is_stopped(worker, emulator):
    result = await worker.run("[[run_s=60]]Well?", timeout_s=0.5)

    assert result.failure.kind is FailureKind.OVERDUE
    assert left(emulator) == {}


@pytest.mark.parametrize("prompt", ["Well?", "[[scenario=tools]]Well?"])
async def test_a_lost_reply_costs_at_most_what_is_counted(prompt, worker, emulator):
    for route in ("runs.create", "responses.create", "runs.submit_tool_outputs"):
        emulator.faults(drop_after=1, only=route, times=1)
        result = await worker.run(prompt)
        assert result.ok
        assert sum(left(emulator).values()) <= result.lost_runs + result.lost_threads
        emulator.faults()
        emulator.emulator.reset()


@pytest.mark.emulated(without=frozenset({"assistants"}))
async def test_a_server_of_the_other_wire_says_what_to_set(worker, settings):
    result = await worker.run("Well?")
    if settings.endpoints["emulator"].wire == "responses":
        assert result.ok
    else:
        assert result.failure.kind is FailureKind.UNSUPPORTED
        assert 'kind should be "responses"' in result.failure.message


@pytest.mark.emulated(without=frozenset({"responses"}), extras=frozenset({"detail_errors"}))
async def test_a_server_without_the_api_fails_a_job_at_once(worker, settings, emulator):
    result = await worker.run("Well?")
    if settings.endpoints["emulator"].wire == "assistants":
        assert result.ok
    else:
        assert (result.failure.kind, result.runs, result.calls) == (FailureKind.UNSUPPORTED, 0, 1)


@pytest.mark.parametrize("settings", ["responses"], indirect=True)
@pytest.mark.parametrize(
    ("ok", "told"),
    [
        pytest.param(True, "speaks the responses API", id="as OpenAI"),
        pytest.param(
            *(True, "speaks the responses API"),
            marks=pytest.mark.emulated(extras=frozenset({"bad_ids"})),
            id="as LiteLLM",
        ),
        pytest.param(
            *(False, '404 Not Found; this server speaks the Assistants API: set kind = "assistants"'),
            marks=pytest.mark.emulated(without=frozenset({"responses"}), extras=frozenset({"detail_errors"})),
            id="without the API",
        ),
    ],
)
async def test_the_probe_of_doctor_believes_what_a_server_answers(settings, emulator, ok, told):
    try:
        found, detail = True, await probe(settings, "emulator")
    except EndpointUnusable as error:
        found, detail = False, str(error)

    assert (found, told in detail) == (ok, True), detail
    assert left(emulator) == {}


@pytest.mark.endpoint(max_reruns=1)
@pytest.mark.parametrize("settings", ["responses"], indirect=True)
@pytest.mark.parametrize(
    ("scenario", "kind", "runs"),
    [
        ("rate_limited", FailureKind.RATE_LIMITED, 2),
        ("failed", FailureKind.SERVER_ERROR, 2),
        ("invalid_prompt", FailureKind.REJECTED, 1),
    ],
)
async def test_errors_of_a_gateway_with_one_code_are_classified_by_wording(worker, settings, scenario, kind, runs):
    result = await worker.run(f"[[scenario={scenario} quirks=polling_errors]]Well?")

    assert (result.failure.kind, result.failure.code, result.runs) == (kind, "background_streaming_error", runs)


@pytest.mark.endpoint(model=None)
@pytest.mark.parametrize("settings", ["responses"], indirect=True)
async def test_a_profile_replaces_an_assistant_where_there_are_none(worker, settings, emulator):
    fields = {"model": "emulator-echo", "instructions": "Be brief.", "temperature": 0.5, "tools": ["code_interpreter"]}
    object.__setattr__(settings, "profiles", {"brief": Profile.model_validate(fields)})
    result = await worker.run("Well?", profile="brief")

    assert result.text == "Well?"
    [sent] = emulator.sent("POST", "/responses")
    assert (sent.json["model"], sent.json["instructions"], sent.json["temperature"]) == (
        "emulator-echo",
        "Be brief.",
        0.5,
    )
    assert sent.json["tools"] == [{"type": "code_interpreter", "container": {"type": "auto", "file_ids": []}}]


@pytest.mark.emulated(without=frozenset({"conversations"}))
async def test_a_server_without_conversations_chains_its_responses(worker, emulator):
    first = await worker.run("Plot a sine wave", keep_thread=True)
    second = await worker.run("Now in dark mode", thread=first.thread_id)
    third = await worker.run("[[scenario=tools]]And in grey", thread=first.thread_id)

    assert {first.state, second.state, third.state} == {JobState.SUCCEEDED}
    assert first.thread_id == second.thread_id == third.thread_id
    asked = [each.json for each in emulator.requests if (each.method, each.path) == ("POST", "/responses")]
    if asked:  # each goes on from the answer before it
        ids = [body.get("previous_response_id") for body in asked]
        assert ids[0] is None
        assert ids[1] == first.thread_id
        assert len(set(ids)) == len(asked)
    [thread] = worker.client.threads()
    assert (thread.id, thread.jobs) == (first.thread_id, 3)
    worker.client.delete_thread(first.thread_id)
    await worker.process.clean_up()
    assert left(emulator) == {}
