"""The examples, each run by a command as their page says, on the emulator."""

import re
import shutil
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.acceptance

ROOT = Path(__file__).parents[2]
README = ROOT / "examples" / "README.md"

SETTINGS = {"THREADMILL_CONFIG": "examples/threadmill.toml", "PYTHONPATH": "examples"}

#: What each must print, among other things.
SAYS = {
    "image_question": ["What would you change about it?", "Images: image/png, 1,139 bytes, 240 x 160 pixels"],
    "search_plugin": ["SEARCH answered", '"query": {"keywords"'],
    "fibonacci": ["def fibonacci", "2584, 4181"],
    "sine_wave": ["light background", "I changed the earlier plot", "dark background", "bytes of image/png"],
    "weather": ["query_weather answered", '"celsius":'],
    "live_weather": ["[running]", "[query_weather is called with", "query_weather answered", "[succeeded]"],
    "handbook": ["40 euros", "[1] travel-handbook.md"],
}


#: The same programs on a server that speaks the Responses API. It has no plugin API.
RESPONSES = {
    "THREADMILL_ENDPOINTS__EMULATOR__WIRE": "responses",
    "THREADMILL_ENDPOINTS__EMULATOR__MODEL": "emulator-auto",
}


@pytest.mark.parametrize(
    ("name", "wire"),
    [
        (name, wire)
        for wire in ("assistants", "responses")
        for name in SAYS
        if (name, wire) != ("search_plugin", "responses")
    ],
)
def test_an_example_runs_by_one_command_and_leaves_nothing_behind(name, wire, tmp_path, run_cli):
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    variables = SETTINGS | (RESPONSES if wire == "responses" else {})
    said = run_cli("local", "--endpoint", "emulator", "--", sys.executable, f"examples/{name}.py", **variables)
    assert said.returncode == 0, said.stderr
    for words in SAYS[name]:
        assert words in said.stdout
    emulator = (tmp_path / ".threadmill" / "emulator.log").read_text()
    assert re.search(r"stopped: \d+ runs, 0 threads left behind", emulator)
    assert "responses" not in emulator or "responses, 0 left behind" in emulator


def test_the_command_of_the_docs_makes_the_report_of_a_day(tmp_path, run_cli):
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    [command] = re.findall(r"^THREADMILL_REPORTS=\S+ threadmill (report run .*)$", README.read_text(), re.MULTILINE)
    said = run_cli(*command.split(), THREADMILL_REPORTS="examples/reports")
    assert said.returncode == 0, said.stderr
    page = Path(said.stdout.split(", ")[-1].strip()).read_text("utf-8")
    assert "12 documents" in page or ">12<" in page
    assert "is not text but binary data" in page, "the scan that went wrong is named"


def test_every_example_is_on_their_page_and_is_tried_here():
    programs = {path.stem for path in (ROOT / "examples").glob("*.py")} - {"example_tools"}
    assert programs == SAYS.keys()
    assert programs == set(re.findall(r"examples/run (\w+)`", README.read_text()))


def test_a_program_that_fails_gives_its_exit_code(run_cli):
    ended = run_cli("local", "--endpoint", "emulator", "--", sys.executable, "-c", "raise SystemExit(7)")
    assert ended.returncode == 7


def test_a_program_that_is_not_there_is_named(run_cli):
    ended = run_cli("local", "--endpoint", "emulator", "--", "no-such-program")
    assert (ended.returncode, "cannot run no-such-program" in ended.stderr) == (2, True)
