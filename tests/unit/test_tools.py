"""The toolbox and its functions, without a server."""

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field

from threadmill.endpoint import Endpoint
from threadmill.tool_settings import FunctionSettings
from threadmill_worker.functions import load
from threadmill_worker.tool import definition
from threadmill_worker.tools import Toolbox, cut
from threadmill_worker.toolset import Toolset
from threadmill_worker.views import ToolCall


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


NAMES = ("find", "nothing", "later", "anything", "fails")
FUNCTIONS = {name: load(name, FunctionSettings(function=f"{__name__}:{name}")) for name in NAMES}


@pytest.fixture
async def toolbox():
    endpoint = Endpoint.model_validate({"kind": "assistants", "base_url": "http://127.0.0.1:9", "tool_timeout_s": 2})
    box = Toolbox(Toolset(FUNCTIONS), endpoint, "sk-secret")
    yield box
    await box.close()


async def output(toolbox: Toolbox, name: str, arguments: str, time_left_s: float = 2) -> str:
    ready = await toolbox.call(ToolCall("call_1", name, arguments), "thread_1", "asst_1", time_left_s)
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
async def test_a_function_is_called_with_its_arguments(toolbox, name, arguments, expected):
    assert await output(toolbox, name, arguments) == expected


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
        ("absent", "{}", "there is no tool of this name; there is: anything, fails, find, later, nothing"),
    ],
)
async def test_whatever_goes_wrong_is_told_to_the_model(toolbox, name, arguments, says):
    told = await output(toolbox, name, arguments)
    assert told.startswith(f"The tool {name} failed: ")
    assert says in told
    assert "pydantic" not in told


@pytest.mark.parametrize("time_left_s", [0, -3])
async def test_a_call_without_time_is_not_made(toolbox, time_left_s):
    assert await output(toolbox, "nothing", "{}", time_left_s) == (
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


async def test_a_job_names_tools_or_gives_their_definitions(toolbox):
    own = {"type": "code_interpreter"}

    assert await toolbox.definitions(None) is None
    assert await toolbox.definitions([]) == []
    assert await toolbox.definitions([own]) == [own]
    [named] = await toolbox.definitions(["later"])
    assert named["function"]["name"] == "later"


@pytest.mark.parametrize(("length", "limit"), [(10, 10), (9, 10), (0, 10)])
def test_a_text_within_the_limit_is_not_touched(length, limit):
    assert cut("x" * length, limit) == "x" * length


@pytest.mark.parametrize("length", [8001, 20_000, 1_000_000])
def test_a_text_beyond_it_is_cut_with_its_length_told(length):
    text = cut("天" * length, 8000)
    assert len(text) == 8000
    assert text.startswith("天天")
    assert text.endswith(f"\n[cut: the output has {length} characters]")


@pytest.mark.parametrize("limit", [1, 5, 30])
def test_a_limit_shorter_than_the_marker_holds_too(limit):
    assert len(cut("x" * 100, limit)) <= limit


async def test_without_an_assistant_there_is_no_plugin_api_to_ask():
    endpoint = Endpoint.model_validate(
        {"kind": "emulator", "base_url": "http://127.0.0.1:9", "wire": "responses", "plugins": True}
    )
    box = Toolbox(Toolset({}), endpoint, "sk-secret")
    ready = await box.call(ToolCall("call_1", "search", "{}"), "conv_1", "", 2)
    await box.close()
    assert ready.output == "The tool search failed: there is no tool of this name; there is: none"


@pytest.mark.parametrize("arguments", ["[" * 100_000, '{"a":' * 500 + "1" + "}" * 500])
async def test_arguments_that_nest_too_deeply_are_told_to_the_model(toolbox, arguments):
    call = ToolCall("c", "find", arguments)
    assert call.signature == f"find {arguments}"
    assert "nests more than 100 levels deep" in await output(toolbox, "find", arguments)
