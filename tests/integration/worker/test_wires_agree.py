"""The same job over all wires: the results are the right ones, they agree, and nothing is left on the server.

Chat Completions takes part in all that such servers have.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import marked
from tests.emulated import CHAT, WIRES, Emulated

from threadmill import FailureKind, JobResult, JobState
from threadmill_emulator.runs.replies import PNG
from threadmill_worker.lifecycle.progress import Progress
from threadmill_worker.process import WorkerProcess

pytestmark = pytest.mark.integration

SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "n",
        "schema": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]},
    },
}

#: Ids that servers assign.
IDS = re.compile(r"\b(?:call|cfile|cntr|conv|file|msg|resp|run|thread|vs)[-_][A-Za-z0-9]{10,}\b")

#: Not compared: ids, times, and what each API counts or writes differently.
ITS_OWN = {"job_id", "thread_id", "calls", "timings", "usage", "content"}

#: How long a run took, and whether the deadline interrupted a call, differ from run to run.
AFTER = re.compile(r", \d+ s after it was started(?:; the last call failed[^\"]*)?")
#: A limit of tokens is called otherwise, and a picture stands among the blocks of one API only.
SAID = re.compile(r"max_output_tokens"), "max_completion_tokens"
PICTURE = re.compile(r"\n*!\[[^]]*\]\([^)]*\)\n*")


def beaten() -> str:
    """A tool that counts its calls."""
    BEATS.append("beat")
    return "beaten"


async def endless() -> str:
    """A tool that runs until its worker is stopped; the next call ends at once."""
    BEATS.append("endless")
    await asyncio.sleep(60 if BEATS.count("endless") <= len(WIRES) else 0)
    return "ended"


BEATS: list[str] = []
TOOLS = {name: f"{__name__}:{name}" for name in ("beaten", "endless")}


@dataclass
class Wire:
    emulator: Emulated
    worker: Any
    jobs: list[str] = field(default_factory=list)


@pytest.fixture
async def wires(
    request: pytest.FixtureRequest,
    emulate: Any,
    make_settings: Any,
    worker_of: Any,
    tmp_path: Path,
) -> AsyncIterator[list[Wire]]:
    BEATS.clear()
    (tmp_path / "policy.txt").write_text("Travel is booked a week ahead. Meals are covered up to 40 euros.")
    (tmp_path / "table.csv").write_text("city,days\nParis,3\n")
    (tmp_path / "photo.png").write_bytes(PNG)
    fields = {"file_roots": (tmp_path,)} | marked(request, "settings")
    with ExitStack() as running:
        made = []
        third = [CHAT] if request.node.get_closest_marker("all_wires") else []
        for endpoint in (*WIRES.values(), *third):
            emulator = running.enter_context(emulate(**marked(request, "emulated")))
            settings = make_settings(emulator.base_url, endpoint | marked(request, "endpoint"), **fields)
            made.append(Wire(emulator, worker_of(settings)))
        yield made


def plain(result: JobResult) -> dict[str, Any]:
    """The parts of a result that have to be the same."""
    found = json.loads(AFTER.sub("", IDS.sub("ID", SAID[0].sub(SAID[1], result.model_dump_json(exclude=ITS_OWN)))))
    found["text"] = PICTURE.sub("\n\n", found["text"]).replace(result.job_id, "JOB").strip()
    found["files"] = sorted((each["name"], each["size"], each["sha256"], each["error"]) for each in found["files"])
    found["steps"] = [{**step, "images": len(step.get("images", ()))} for step in found["steps"]]
    return found


async def alike(wires: list[Wire], see: Callable[[Wire], Any]) -> JobResult:
    """Does the same on each wire, compares the results, and returns the first of them."""
    ours, *theirs = await asyncio.gather(*map(see, wires))
    one = plain(ours)
    for other in map(plain, theirs):
        assert {name: (one[name], other[name]) for name in one if one[name] != other[name]} == {}
    for wire in wires:
        await wire.worker.process.clean_up()
        assert wire.emulator.left() == {}
    return ours


async def run(wires: list[Wire], prompt: str, **fields: Any) -> JobResult:
    return await alike(wires, lambda wire: wire.worker.run(prompt, **fields))


#: The stages at which a run is stopped: in progress, queued, waiting for a tool.
STAGES = ["[[run_s=60]]", "[[scenario=stuck_queued]]", "[[scenario=tools]]"]

#: How a job ends in each scenario: the kind of its failure, if any; the code of the failure, or a part of the text; the
#: number of runs.
SCENARIOS = {
    "emulator": (None, "Well?", 1),
    "echo": (None, "Well?", 1),
    "tools": (None, "beaten", 1),
    "parallel_tools": (None, "beaten", 1),
    "tool_rounds": (None, "beaten", 1),
    "bad_arguments": (None, "beaten", 1),
    "slow_requires": (None, "beaten", 1),
    "auto": (None, "beaten", 1),
    "failed_once": (None, "Well?", 2),
    "refusal": (None, "I'm sorry", 1),
    "two_messages": (None, "Let me see.\n\n", 1),
    "sparse": (None, "Well?", 1),
    "failed": (FailureKind.SERVER_ERROR, "server_error", 2),
    "rate_limited times=1": (None, "Well?", 2),
    "quota": (FailureKind.QUOTA, "rate_limit_exceeded", 1),
    "invalid_prompt": (FailureKind.INVALID_PROMPT, "invalid_prompt", 1),
    "incomplete": (FailureKind.INCOMPLETE, "max_completion_tokens", 1),
    "cancelled": (FailureKind.CANCELLED_REMOTELY, None, 1),
    "empty": (FailureKind.EMPTY_ANSWER, None, 1),
    "empty_text": (FailureKind.EMPTY_ANSWER, None, 1),
}


#: In these, the server itself ends a run. On Chat Completions it refuses the call: see test_chat.py.
OF_RUNS = {"failed_once", "failed", "rate_limited times=1", "quota", "invalid_prompt", "cancelled"}

CASES = [
    pytest.param(name, *end, marks=() if name in OF_RUNS else pytest.mark.all_wires) for name, end in SCENARIOS.items()
]


@pytest.mark.settings(tools=TOOLS)
@pytest.mark.endpoint(max_reruns=1)
@pytest.mark.parametrize(("scenario", "kind", "says", "runs"), CASES)
async def test_every_scenario(scenario, kind, says, runs, wires):
    result = await run(wires, f"[[scenario={scenario} run_s=0]]Well?", tools=["beaten"], include_steps=True)

    assert result.runs == runs
    assert result.usage.total_tokens > 0
    if kind is None:
        assert result.ok
        assert says in result.text
    else:
        assert (result.failure.kind, result.failure.code) == (kind, says)


@pytest.mark.parametrize("scenario", ["code_interpreter", "plot", "reasoning"])
async def test_the_servers_own_tools(scenario, wires):
    await run(wires, f"[[scenario={scenario}]]Well?", include_steps=True)


async def test_code_reads_a_file_and_writes_others(wires, tmp_path):
    table = {"path": str(tmp_path / "table.csv"), "tools": ["code_interpreter"]}
    prompt = "[[scenario=plot]]Plot a sine wave"
    result = await run(wires, prompt, files=[table], tools=["code_interpreter"], include_steps=True)

    assert {each.name: each.media_type for each in result.files} == {"sine.png": "image/png", "sine.csv": "text/csv"}
    assert all(Path(each.uri).stat().st_size == each.size for each in result.files)  # noqa: ASYNC240
    assert [step["type"] for step in result.steps] == ["code_interpreter"]


async def test_an_answer_that_is_filtered(wires):
    """One API filters a run, the other the rest of its answer."""
    ours, theirs = [await wire.worker.run("[[scenario=content_filter]]Well?") for wire in wires]
    assert ours.failure == theirs.failure
    assert ours.failure.kind is FailureKind.REJECTED


@pytest.mark.endpoint(queued_limit_s=0.15, run_limit_s=0.25, cancel_limit_s=0.3, max_reruns=1)
@pytest.mark.parametrize("scenario", ["stuck", "stuck_queued", "unknown_status"])
async def test_a_run_that_does_not_move(scenario, wires):
    result = await run(wires, f"[[scenario={scenario}]]Well?")
    assert result.failure.kind is FailureKind.STUCK


@pytest.mark.settings(tools=TOOLS)
@pytest.mark.parametrize("prompt", STAGES)
async def test_a_deadline(prompt, wires):
    result = await run(wires, f"{prompt}Well?", tools=["endless"], timeout_s=0.8)
    assert result.failure.kind is FailureKind.OVERDUE


@pytest.mark.parametrize(
    "says",
    [
        pytest.param("image/png", id="in a data URL", marks=pytest.mark.all_wires),
        pytest.param("photo.png", id="uploaded", marks=pytest.mark.endpoint(supports={"data_urls": False})),
    ],
)
async def test_an_image_and_a_history(says, wires, tmp_path):
    history = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hello, what is it?"}]
    result = await run(wires, "What is this?", messages=history, images=[str(tmp_path / "photo.png")])
    assert says in result.text


@pytest.mark.all_wires
async def test_an_answer_in_json(wires):
    result = await run(wires, "How many?", response_format=SCHEMA)
    assert isinstance(result.parsed["n"], int)


@pytest.mark.all_wires
async def test_an_answer_that_does_not_fit_is_asked_for_once_more(wires):
    """What comes then is the emulator's affair: an echo has nothing new to repeat on a thread."""
    for wire, path in zip(wires, ("/runs", "/responses", "/chat/completions"), strict=True):
        result = await wire.worker.run("[[scenario=echo]]three", response_format=SCHEMA)
        first, second = wire.emulator.sent("POST", path)
        assert (result.runs, b"did not match" in first.body, b"did not match" in second.body) == (2, False, True)
        assert wire.emulator.left() == {}


async def test_a_batch_uploads_its_file_once_and_deletes_it_at_the_end(wires, tmp_path):
    fields = {"files": [str(tmp_path / "policy.txt")], "tools": ["file_search"], "batch": "b", "include_steps": True}
    for wire in wires:
        for number in range(3):
            wire.jobs.append(
                wire.worker.create(f"[[scenario=citations]]Meals are covered up to what, {number}?", **fields)
            )
    for wire in wires:
        assert [(await wire.worker.see_through(job)).ok for job in wire.jobs[:-1]] == [True, True]
        assert wire.emulator.left() == {"files": 1, "vector_stores": 1}
    result = await alike(wires, lambda wire: wire.worker.see_through(wire.jobs[-1]))
    assert "40 euros.[1]" in result.text
    assert [(each.number, each.name, "40 euros" in each.quote) for each in result.citations] == [
        (1, "policy.txt", True)
    ]
    assert [len(wire.emulator.sent("POST", "/files")) for wire in wires] == [1, 1]


async def test_a_follow_up_continues_the_thread(wires):
    code = {"tools": ["code_interpreter"]}
    pairs = []
    for wire in wires:
        first = await wire.worker.run("[[scenario=plot]]Plot a sine wave", keep_thread=True, **code)
        second = await wire.worker.run("[[scenario=plot]]Now in dark mode", thread=first.thread_id, **code)
        assert first.thread_id == second.thread_id
        assert "I changed the earlier plot" in second.text
        [thread] = wire.worker.client.threads()
        wire.worker.client.delete_thread(thread.id)
        await wire.worker.process.clean_up()
        assert wire.emulator.left() == {}
        pairs.append((plain(first), plain(second)))
    assert pairs[0] == pairs[1]


@pytest.mark.settings(tools=TOOLS)
@pytest.mark.parametrize("prompt", STAGES)
async def test_a_cancel_while_its_run(prompt, wires, until):
    async def cancelled(wire: Wire) -> JobResult:
        job = wire.worker.create(f"{prompt}Well?", tools=["endless"])
        running = asyncio.create_task(wire.worker.see_through(job))
        await asyncio.to_thread(
            until, lambda: len(BEATS) == len(WIRES) if "tools" in prompt else wire.emulator.created()
        )
        assert await asyncio.to_thread(wire.worker.client.cancel, job) is JobState.RUNNING
        return await running

    assert (await alike(wires, cancelled)).state is JobState.CANCELLED


@pytest.mark.emulated(latency_s=0.8)
@pytest.mark.settings(lease_s=1.5)
async def test_a_cancel_while_its_run_is_on_its_way(wires, until):
    async def cancelled(wire: Wire) -> JobResult:
        job = wire.worker.create("[[run_s=60]]Well?")
        running = asyncio.create_task(wire.worker.see_through(job))
        on_its_way = lambda: wire.emulator.sent("POST", "/runs") + wire.emulator.sent("POST", "/responses")  # noqa: E731
        await asyncio.to_thread(until, on_its_way)
        assert wire.emulator.created() == 0
        assert await asyncio.to_thread(wire.worker.client.cancel, job) is JobState.RUNNING
        result = await running
        assert wire.emulator.left() == {}
        return result

    result = await alike(wires, cancelled)
    assert (result.state, result.runs, result.lost_runs) == (JobState.CANCELLED, 1, 0)


@pytest.mark.settings(tools=TOOLS)
@pytest.mark.parametrize(
    ("prompt", "tools", "calls"),
    [
        ("[[run_s=1]]", [], []),
        ("[[scenario=tools run_s=1]]", ["beaten"], ["beat"]),
        ("[[scenario=tools calls=2]]", ["beaten", "endless"], ["beat", "endless", "endless"]),
    ],
    ids=["in a run", "before its tools", "while one tool is at work and one has ended"],
)
async def test_a_job_handed_back_continues_the_same_run(prompt, tools, calls, wires, until):
    async def resumed(wire: Wire) -> JobResult:
        job = wire.worker.create(f"{prompt}Well?", tools=tools or None)
        running = asyncio.create_task(wire.worker.process.run(job, None))
        one_has_ended = lambda: Progress.of(wire.worker.record(job)).run.outputs  # noqa: E731
        await asyncio.to_thread(until, wire.emulator.created)
        if "calls" in prompt:
            await asyncio.to_thread(until, lambda: BEATS.count("endless") == len(WIRES) and one_has_ended())
        await wire.worker.process.close()
        await running
        assert wire.worker.record(job).state is JobState.QUEUED
        wire.worker.process = WorkerProcess(wire.worker.settings)
        return await wire.worker.see_through(job)

    result = await alike(wires, resumed)
    assert (result.state, result.attempts, result.runs) == (JobState.SUCCEEDED, 1, 1)
    assert [wire.emulator.created() for wire in wires] == [1, 2 if tools else 1], (
        "a round of tools ends with a response of its own"
    )
    assert sorted(BEATS) == sorted(calls * len(WIRES))


LOSSES = {
    "start": ("runs.create", "responses.create"),
    "look": ("runs.retrieve", "responses.retrieve"),
    "submit": ("runs.submit_tool_outputs", "responses.create"),
    "delete": ("threads.delete", "responses.delete"),
    "upload": ("files.create", "files.create"),
    "store": ("vector_stores.create", "vector_stores.create"),
}


@pytest.mark.settings(tools=TOOLS)
@pytest.mark.parametrize("fault", ["drop_before", "drop_after"])
@pytest.mark.parametrize("what", LOSSES)
async def test_a_lost_reply(what, fault, wires, tmp_path, until):
    """It costs at most what the result counts as lost; which things these are is each API's own."""
    fields = {"files": [str(tmp_path / "policy.txt")]} if what in ("upload", "store") else {}
    prompt = "[[scenario=tools run_s=0.3]]Well?" if what == "submit" else "Well?"
    found = []
    for wire, route in zip(wires, LOSSES[what], strict=True):
        running = asyncio.create_task(wire.worker.run(prompt, **({"tools": ["beaten"]} | fields)))
        if what == "submit":  # one call of the Responses API makes the run and takes its outputs
            await asyncio.to_thread(until, wire.emulator.created)
        wire.emulator.faults(**{fault: 1}, only=route, times=1)
        result = await running
        assert wire.emulator.stats()["faults"] == {fault: 1}
        await wire.worker.process.clean_up()
        lost = result.lost_threads + result.lost_runs + result.lost_files
        assert sum(wire.emulator.left().values()) <= lost
        found.append({name: value for name, value in plain(result).items() if not name.startswith("lost_")})
    assert found[0] == found[1]
    assert found[0]["state"] == "succeeded"
