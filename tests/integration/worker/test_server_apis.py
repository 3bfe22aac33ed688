"""Servers that have only one of the two APIs, or only part of one."""

import pytest
from tests.conftest import marked
from tests.emulated import WIRES

from threadmill import FailureKind, JobState
from threadmill.settings.profile import Profile
from threadmill_worker.admin.probe import EndpointUnusable, probe

pytestmark = pytest.mark.integration


@pytest.fixture(params=WIRES)
def settings(request, make_settings, emulator):
    return make_settings(emulator.base_url, WIRES[request.param] | marked(request, "endpoint"))


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
    ("ok", "says"),
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
async def test_the_probe_of_doctor_believes_what_a_server_answers(settings, emulator, ok, says):
    try:
        found, detail = True, await probe(settings, "emulator")
    except EndpointUnusable as error:
        found, detail = False, str(error)

    assert (found, says in detail) == (ok, True), detail
    assert emulator.left() == {}


@pytest.mark.endpoint(max_reruns=1)
@pytest.mark.parametrize("settings", ["responses"], indirect=True)
@pytest.mark.parametrize(
    ("scenario", "kind", "runs"),
    [
        ("failed", FailureKind.SERVER_ERROR, 2),
        ("invalid_prompt", FailureKind.REJECTED, 1),
    ],
)
async def test_errors_of_a_gateway_with_one_code_are_classified_by_wording(worker, settings, scenario, kind, runs):
    result = await worker.run(f"[[scenario={scenario} quirks=polling_errors]]Well?")

    assert (result.failure.kind, result.failure.code, result.runs) == (kind, "background_streaming_error", runs)


@pytest.mark.parametrize("settings", ["responses"], indirect=True)
async def test_a_rate_limit_of_a_gateway_with_one_code_is_known_by_its_wording(worker, settings):
    result = await worker.run("[[scenario=rate_limited times=1 quirks=polling_errors]]Well?")

    assert (result.ok, result.runs) == (True, 2)
    assert result.timings.limited_s >= 1


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
    sent = emulator.sent("POST", "/responses")
    if sent:  # each continues from the response before it
        ids = [request.json.get("previous_response_id") for request in sent]
        assert ids[0] is None
        assert ids[1] == first.thread_id
        assert len(set(ids)) == len(ids)
    [thread] = worker.client.threads()
    assert (thread.id, thread.jobs) == (first.thread_id, 3)
    worker.client.delete_thread(first.thread_id)
    await worker.process.clean_up()
    assert emulator.left() == {}
