"""Tool calls that go to Python functions of the settings."""

import asyncio
import threading
from typing import Literal

import pytest

from threadmill import JobState
from threadmill_worker.tools import functions

pytestmark = pytest.mark.integration

#: Passed by three calls at the same time.
MEETING = threading.Barrier(3, timeout=60)

#: Ends the calls of `sleepy`.
AWAKE = threading.Event()


@pytest.fixture(autouse=True)
async def _all_awake_in_the_end():
    """Asynchronous, so that it ends before the test's event loop, which waits for its threads."""
    AWAKE.clear()
    yield
    AWAKE.set()


def weather(city: str, unit: Literal["c", "f"] = "c") -> dict[str, object]:
    """Current weather of a city."""
    return {"city": city, "temperature": 21, "unit": unit}


async def stock(name: str) -> str:
    """How many there are."""
    await asyncio.sleep(0.01)
    return f"seven of {name}"


def broken(name: str) -> str:
    raise LookupError(f"nothing is known of {name}")


def sleepy(name: str) -> str:
    AWAKE.wait(60)
    return "awake"


def sociable(name: str) -> str:
    MEETING.wait()
    return "met"


def wordy() -> str:
    return "word " * 4000


NAMES = ["weather", "stock", "broken", "sleepy", "sociable", "wordy"]
TOOLS = {name: f"{__name__}:{name}" for name in NAMES} | {
    "sleepy": {"function": f"{__name__}:sleepy", "timeout_s": 0.2}
}

with_tools = pytest.mark.settings(tools=TOOLS)


@with_tools
@pytest.mark.parametrize(
    ("tool", "output"),
    [
        ("weather", '{"city":"Taipei","temperature":21,"unit":"c"}'),
        ("stock", "seven of Taipei"),
        ("broken", "The tool broken failed: LookupError: nothing is known of Taipei"),
        ("sleepy", "The tool sleepy failed: it did not answer within 0.2 s"),
        ("wordy", ("word " * 4000)[:7961] + "\n[cut: the output has 20000 characters]"),
    ],
)
async def test_a_function_answers_and_its_errors_reach_the_model(worker, emulator, tool, output):
    result = await worker.run("[[scenario=tools]]\nTaipei", tools=[tool])

    assert (result.state, result.runs) == (JobState.SUCCEEDED, 1)
    assert emulator.tool_outputs() == [output]
    assert emulator.sent("POST", "/pluginapi") == [], "the worker's function answers"
    assert emulator.threads() == 0


@with_tools
async def test_a_named_tool_is_offered_with_the_schema_of_its_signature(worker, emulator):
    await worker.run(tools=["weather"])

    [run] = emulator.sent("POST", "/runs")
    [offered] = run.json["tools"]
    assert offered["type"] == "function"
    assert offered["function"]["name"] == "weather"
    assert offered["function"]["description"] == "Current weather of a city."
    parameters = offered["function"]["parameters"]
    assert (parameters["type"], parameters["required"]) == ("object", ["city"])
    assert parameters["properties"]["city"]["type"] == "string"
    assert parameters["properties"]["unit"]["enum"] == ["c", "f"]
    assert parameters["properties"]["unit"]["default"] == "c"


@with_tools
async def test_a_job_that_names_no_tools_leaves_the_assistants_own(worker, emulator):
    await worker.run()

    [run] = emulator.sent("POST", "/runs")
    assert "tools" not in run.json


@with_tools
async def test_our_function_answers_for_an_assistants_own_tool_of_that_name(worker, emulator):
    await worker.run("[[scenario=tools tool=wordy]]\nWell?")  # called with arguments it does not have

    assert emulator.tool_outputs()[0].startswith("The tool wordy failed: the arguments do not fit: ")
    assert "`query`" in emulator.tool_outputs()[0]


@with_tools
async def test_a_definition_in_the_servers_own_form_is_sent_as_it_is(worker, emulator):
    foreign = {
        "type": "function",
        "function": {
            "name": "weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "integer"}}, "required": ["city"]},
        },
    }
    await worker.run("[[scenario=tools]]\nTaipei", tools=[foreign])

    assert emulator.sent("POST", "/runs")[0].json["tools"] == [foreign]
    [output] = emulator.tool_outputs()
    assert output.startswith("The tool weather failed: the arguments do not fit: `city`: ")


@with_tools
async def test_functions_of_one_round_run_in_parallel(worker, emulator):
    await worker.run("[[scenario=tools calls=3]]\nWell?", tools=["sociable"])

    assert emulator.tool_outputs() == ["met"] * 3


@with_tools
async def test_a_function_that_blocks_holds_up_no_other_job(worker):
    async with asyncio.TaskGroup() as group:
        sleeping = group.create_task(worker.run("[[scenario=tools]]\nWell?", tools=["sleepy"]))
        quick = await worker.run("[[run_s=0]]\nWell?")
        assert not sleeping.done()
        AWAKE.set()

    assert quick.state is JobState.SUCCEEDED


@with_tools
@pytest.mark.endpoint(kind="assistants", assistant="asst_unknown_tool")
async def test_an_unknown_name_is_answered_with_the_names_there_are(worker, emulator):
    await worker.run()

    assert emulator.tool_outputs() == [
        f"The tool no_such_tool failed: there is no tool of this name; there is: {', '.join(sorted(NAMES))}"
    ]


async def test_a_tool_this_worker_lacks_fails_the_job_at_once(worker, store, emulator):
    job_id = worker.create()
    store.hset(  # as a producer with other settings would have written it
        f"{worker.settings.key_prefix}:job:{job_id}", "job", '{"prompt": "Well?", "tools": ["weather"]}'
    )
    result = await worker.see_through(job_id)

    assert (result.state, result.failure.kind) == (JobState.FAILED, "rejected")
    assert "weather" in result.failure.message
    assert emulator.requests == []


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("no.such.module:f", "No module named"),
        (f"{__name__}:missing", "has no attribute 'missing'"),
        (f"{__name__}:NAMES", "is not a function"),
    ],
)
def test_a_function_that_cannot_be_loaded_is_named(target, reason):
    from threadmill import SettingsError
    from threadmill.settings.tools import FunctionSettings

    with pytest.raises(SettingsError, match=f"tool 'x'.*{reason}"):
        functions.load("x", FunctionSettings(function=target))
