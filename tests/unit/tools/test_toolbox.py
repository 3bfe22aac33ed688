"""The toolbox and its functions, without a server."""

import asyncio
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field

from threadmill.errors import SettingsError
from threadmill.secrets.redaction import REDACTOR
from threadmill.settings.endpoints.endpoint import Endpoint
from threadmill.settings.tools import FunctionSettings
from threadmill_worker.lifecycle.observations import ToolCall
from threadmill_worker.tools.daemon_threads import DaemonThreads
from threadmill_worker.tools.executor import ToolExecutor, cut
from threadmill_worker.tools.functions import load
from threadmill_worker.tools.registry import ToolRegistry
from threadmill_worker.tools.tool import definition


class Place(BaseModel):
    city: str
    district: str | None = None


def find(
    place: Place, radius_km: Annotated[float, Field(gt=0)] = 1, kind: Literal["bar", "cafe"] = "cafe"
) -> list[str]:
    """Finds places.

    Near another.
    """
    return [f"{kind} in {place.city}"] * int(radius_km)


def nothing() -> None:
    pass


async def later(name: str) -> str:
    return f"later, {name}"


def anything(**options: object) -> str:
    return repr(options)


def fails(message: str) -> str:
    raise ValueError(message)


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise SystemExit(4)


class Unserializable:
    pass


ERRORS: dict[str, BaseException] = {
    "exit": SystemExit(3),
    "interrupt": KeyboardInterrupt(),
    "generator": GeneratorExit(),
    "iteration": StopIteration("at its end"),
    "cancelled": asyncio.CancelledError(),
    "timeout": TimeoutError("of its own"),
    "base": BaseException("bare"),
    "unspeakable": Unspeakable(),
}


def throws(error: str) -> str:
    raise ERRORS[error]


async def throws_later(error: str) -> str:
    await asyncio.sleep(0)
    raise ERRORS[error]


def throws_wrapped(error: str) -> object:
    """As a decorator of an async function makes them: sync, and returns a coroutine."""
    return throws_later(error)


async def cancels_itself() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)


async def stubborn() -> str:
    while True:
        try:
            await AWAKE_LATER.wait()
            return "awake"
        except asyncio.CancelledError:
            CANCELLED.append("stubborn")


def unserializable() -> object:
    return Unserializable()


def sleepy() -> str:
    STARTED.release()
    AWAKE.wait(60)
    return "awake"


CANCELLED: list[str] = []
AWAKE, AWAKE_LATER, STARTED = threading.Event(), asyncio.Event(), threading.Semaphore(0)

NAMES = (
    *("find", "nothing", "later", "anything", "fails"),
    *("throws", "throws_later", "throws_wrapped", "cancels_itself", "stubborn", "unserializable", "sleepy"),
)
FUNCTIONS = {name: load(name, FunctionSettings(function=f"{__name__}:{name}")) for name in NAMES}


@pytest.fixture
async def executor():
    REDACTOR.register("sk-secret")
    endpoint = Endpoint.model_validate({"kind": "assistants", "base_url": "http://127.0.0.1:9", "tool_timeout_s": 2})
    box = ToolExecutor(ToolRegistry(FUNCTIONS), endpoint, "sk-secret")
    yield box
    await box.close()


async def output(executor: ToolExecutor, name: str, arguments: str, time_left_s: float = 2) -> str:
    ready = await executor.call(ToolCall("call_1", name, arguments), "thread_1", "asst_1", time_left_s)
    assert ready.call_id == "call_1"
    return ready.output


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("find", '{"place": {"city": "Taipei"}}', '["cafe in Taipei"]'),
        ("find", '{"place": {"city": "Taipei"}, "radius_km": 2, "kind": "bar"}', '["bar in Taipei","bar in Taipei"]'),
        ("nothing", "{}", "null"),
        ("nothing", "", "null"),
        ("later", '{"name": "天空"}', "later, 天空"),
        ("anything", '{"a": 1}', "{'a': 1}"),
    ],
)
async def test_a_function_is_called_with_its_arguments(executor, name, arguments, expected):
    assert await output(executor, name, arguments) == expected


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("find", "{}", "the arguments do not fit: `place`: Missing required argument"),
        ("find", '{"place": {"town": "x"}}', "`place.city`: Field required"),
        ("find", '{"place": {"city": "x"}, "radius_km": 0}', "`radius_km`: "),
        ("find", '{"place": {"city": "x"}, "mood": 1}', "`mood`: "),
        ("later", '{"name": 7}', "`name`: "),
        ("later", "{name: x}", "the arguments are not JSON"),
        ("later", '["x"]', "the arguments are not a JSON object"),
        ("later", '"x"', "the arguments are not a JSON object"),
        ("later", '{"name": "x"', "the arguments are not JSON"),
        ("fails", '{"message": "no luck"}', "ValueError: no luck"),
        ("fails", '{"message": "with sk-secret"}', "ValueError: with [key]"),
        (
            "absent",
            "{}",
            "there is no tool of this name; there is: anything, cancels_itself, fails, find, later, nothing",
        ),
    ],
)
async def test_every_error_is_reported_to_the_model(executor, name, arguments, says):
    told = await output(executor, name, arguments)
    assert told.startswith(f"The tool {name} failed: ")
    assert says in told
    assert "pydantic" not in told


@pytest.mark.parametrize("tool", ["throws", "throws_later", "throws_wrapped"])
@pytest.mark.parametrize(
    ("error", "says"),
    [
        ("exit", "SystemExit: 3"),
        ("interrupt", "KeyboardInterrupt"),
        ("generator", "GeneratorExit"),
        ("iteration", "StopIteration"),
        ("cancelled", "CancelledError"),
        ("timeout", "TimeoutError: of its own"),
        ("base", "BaseException: bare"),
        ("unspeakable", "Unspeakable"),
    ],
)
async def test_no_exception_of_a_tool_reaches_the_event_loop(executor, tool, error, says):
    told = await output(executor, tool, f'{{"error": "{error}"}}', time_left_s=60)

    assert told.startswith(f"The tool {tool} failed: ")
    assert says in told


async def test_a_tool_that_cancels_its_own_task_cancels_nothing_else(executor):
    assert await output(executor, "cancels_itself", "{}") == "The tool cancels_itself failed: CancelledError"


async def test_an_output_that_cannot_be_written_as_json_is_a_failure(executor):
    assert "Unserializable" in await output(executor, "unserializable", "{}")


async def test_an_async_tool_that_ignores_its_cancellation_is_not_waited_for(executor):
    assert await output(executor, "stubborn", "{}", time_left_s=0.05) == (
        "The tool stubborn failed: it did not answer within 0.05 s"
    )
    await asyncio.sleep(0)
    assert CANCELLED == ["stubborn"]
    AWAKE_LATER.set()


async def test_a_call_cancelled_by_its_job_ends_as_cancelled(executor):
    calling = asyncio.create_task(output(executor, "sleepy", "{}"))
    await asyncio.to_thread(STARTED.acquire)
    calling.cancel()
    await asyncio.wait({calling})
    assert calling.cancelled()
    AWAKE.set()


async def test_tools_that_hang_take_no_thread_from_files(executor):
    AWAKE.clear()
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    calls = [asyncio.create_task(output(executor, "sleepy", "{}", time_left_s=60)) for _ in range(4)]
    for _ in calls:
        await asyncio.to_thread(STARTED.acquire)  # would wait behind the first of them

    assert not any(call.done() for call in calls)
    AWAKE.set()
    assert await asyncio.gather(*calls) == ["awake"] * 4


async def test_a_call_waits_for_a_free_thread_within_its_time():
    AWAKE.clear()
    threads = DaemonThreads(1)
    target = FunctionSettings(function=f"{__name__}:sleepy")
    first, second = load("first", target, threads), load("second", target, threads)
    calling = asyncio.create_task(first.call({}))
    await asyncio.to_thread(STARTED.acquire)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await second.call({})
    assert not STARTED.acquire(blocking=False), "the second was not started"

    AWAKE.set()
    assert (await calling, await second.call({})) == ("awake", "awake")


@pytest.mark.parametrize("statement", ["raise SystemExit(1)", "1 / 0"])
def test_a_module_that_fails_when_it_is_imported_is_named(tmp_path, monkeypatch, statement):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "broken_module", raising=False)
    (tmp_path / "broken_module.py").write_text(statement)
    with pytest.raises(SettingsError, match=r"tool 'x': importing broken_module failed \((SystemExit|ZeroDivision)"):
        load("x", FunctionSettings(function="broken_module:f"))


@pytest.mark.parametrize("time_left_s", [0, -3])
async def test_a_call_without_time_is_not_made(executor, time_left_s):
    assert await output(executor, "nothing", "{}", time_left_s) == (
        "The tool nothing failed: there was no time left for it"
    )


def test_a_definition_is_made_of_signature_and_docstring():
    described = definition(FUNCTIONS["find"])["function"]

    assert (described["name"], described["description"]) == ("find", "Finds places.\n\nNear another.")
    parameters = described["parameters"]
    assert (parameters["type"], parameters["required"]) == ("object", ["place"])
    assert set(parameters["properties"]) == {"place", "radius_km", "kind"}
    assert parameters["properties"]["radius_km"]["exclusiveMinimum"] == 0


def test_a_function_without_arguments_has_an_empty_object():
    described = definition(FUNCTIONS["nothing"])["function"]

    assert (described["parameters"]["type"], described["parameters"]["properties"]) == ("object", {})
    assert described["description"] == ""


async def test_a_job_names_tools_or_gives_their_definitions(executor):
    own = {"type": "code_interpreter"}

    assert await executor.definitions(None) is None
    assert await executor.definitions([]) == []
    assert await executor.definitions([own]) == [own]
    [named] = await executor.definitions(["later"])
    assert named["function"]["name"] == "later"


@pytest.mark.parametrize(("length", "limit"), [(10, 10), (9, 10), (0, 10)])
def test_a_text_within_the_limit_is_not_touched(length, limit):
    assert cut("x" * length, limit) == "x" * length


@pytest.mark.parametrize("length", [8001, 20_000, 1_000_000])
def test_a_longer_text_is_cut_and_its_length_shown(length):
    text = cut("天" * length, 8000)
    assert len(text) == 8000
    assert text.startswith("天天")
    assert text.endswith(f"\n[cut: the output has {length} characters]")


@pytest.mark.parametrize("limit", [1, 5, 30])
def test_a_limit_shorter_than_the_marker_holds_too(limit):
    assert len(cut("x" * 100, limit)) <= limit


async def test_without_an_assistant_the_plugin_api_is_not_called():
    endpoint = Endpoint.model_validate(
        {"kind": "emulator", "base_url": "http://127.0.0.1:9", "wire": "responses", "supports": {"plugins": True}}
    )
    box = ToolExecutor(ToolRegistry({}), endpoint, "sk-secret")
    ready = await box.call(ToolCall("call_1", "search", "{}"), "conv_1", "", 2)
    await box.close()
    assert ready.output == "The tool search failed: there is no tool of this name; there is: none"


@pytest.mark.parametrize("arguments", ["[" * 100_000, '{"a":' * 500 + "1" + "}" * 500])
async def test_arguments_that_nest_too_deeply_are_reported_to_the_model(executor, arguments):
    call = ToolCall("c", "find", arguments)
    assert call.signature == f"find {arguments}"
    assert "nests more than 100 levels deep" in await output(executor, "find", arguments)
