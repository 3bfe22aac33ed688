"""The same job over both wires, its two results laid side by side: they say the same."""

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
from tests.emulated import Emulated

from threadmill import FailureKind, JobResult, JobState
from threadmill_emulator.runs.replies import PNG
from threadmill_worker.process import WorkerProcess

pytestmark = pytest.mark.integration

WIRES: dict[str, dict[str, Any]] = {
    "assistants": {},
    "responses": {"wire": "responses", "model": "emulator-1", "assistant": None},
}

SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "n",
        "schema": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]},
    },
}

#: What a server gives a name to.
IDS = re.compile(r"\b(?:call|cfile|cntr|conv|file|msg|resp|run|thread|vs)[-_][A-Za-z0-9]{10,}\b")

#: Not compared: ids, moments, and what each API counts and writes in its own way.
ITS_OWN = {"job_id", "thread_id", "calls", "timings", "usage", "content"}

#: How long a run took, and whether the deadline interrupted a call, differ from run to run.
AFTER = re.compile(r", \d+ s after it was started(?:; the last call failed[^\"]*)?")
#: A limit of tokens is called otherwise, and a picture stands among the blocks of one API only.
SAID = re.compile(r"max_output_tokens"), "max_completion_tokens"
PICTURE = re.compile(r"\n*!\[[^]]*\]\([^)]*\)\n*")


def beaten() -> str:
    """A tool of ours: counted, so that a finished call is seen to be made once."""
    BEATS.append("beat")
    return "beaten"


async def endless() -> str:
    """A tool that goes on until its worker is stopped; then it is quick."""
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

    def left(self) -> dict[str, int]:
        """What is alive on its server."""
        stats = self.emulator.stats()
        kinds = ("threads", "responses", "conversations", "containers", "files", "vector_stores")
        return {kind: stats[kind]["alive"] for kind in kinds if stats[kind]["alive"]}

    def runs(self) -> int:
        """How many were made."""
        stats = self.emulator.stats()
        return stats["runs"]["created"] + stats["responses"]["created"]


@pytest.fixture
async def wires(
    request: pytest.FixtureRequest, emulate: Any, make_settings: Any, worker_of: Any, tmp_path: Path
) -> AsyncIterator[list[Wire]]:
    BEATS.clear()
    (tmp_path / "policy.txt").write_text("Travel is booked a week ahead. Meals are covered up to 40 euros.")
    (tmp_path / "photo.png").write_bytes(PNG)
    fields = {"file_roots": (tmp_path,)} | marked(request, "settings")
    with ExitStack() as running:
        made = []
        for endpoint in WIRES.values():
            emulator = running.enter_context(emulate(**marked(request, "emulated")))
            settings = make_settings(emulator.base_url, endpoint | marked(request, "endpoint"), **fields)
            made.append(Wire(emulator, worker_of(settings)))
        yield made


def plain(result: JobResult) -> dict[str, Any]:
    """What is to be the same."""
    found = json.loads(AFTER.sub("", IDS.sub("ID", SAID[0].sub(SAID[1], result.model_dump_json(exclude=ITS_OWN)))))
    found["text"] = PICTURE.sub("\n\n", found["text"]).replace(result.job_id, "JOB").strip()
    found["files"] = sorted((each["name"], each["size"], each["sha256"], each["error"]) for each in found["files"])
    found["steps"] = [{**step, "images": len(step.get("images", ()))} for step in found["steps"]]
    return found


async def both(wires: list[Wire], see: Callable[[Wire], Any]) -> JobResult:
    """The same on each; gives one of the two results, which are alike."""
    ours, theirs = await asyncio.gather(*map(see, wires))
    one, other = plain(ours), plain(theirs)
    assert {name: (one[name], other[name]) for name in one if one[name] != other[name]} == {}
    for wire in wires:
        await wire.worker.process.clean_up()
        assert wire.left() == {}
    return ours


async def run(wires: list[Wire], prompt: str, **fields: Any) -> JobResult:
    return await both(wires, lambda wire: wire.worker.run(prompt, **fields))


#: What a run may be at when it is stopped: at work, in the queue, waiting for a tool.
STAGES = ["[[run_s=60]]", "[[scenario=stuck_queued]]", "[[scenario=tools]]"]

SCENARIOS = """emulator echo tools parallel_tools tool_rounds bad_arguments slow_requires auto
failed failed_once rate_limited quota invalid_prompt incomplete cancelled
empty empty_text refusal two_messages sparse"""


@pytest.mark.settings(tools=TOOLS)
@pytest.mark.endpoint(max_reruns=1)
@pytest.mark.parametrize("scenario", SCENARIOS.split())
async def test_every_scenario_of_both(scenario, wires):
    await run(wires, f"[[scenario={scenario} run_s=0]]Well?", tools=["beaten"], include_steps=True)


@pytest.mark.parametrize("scenario", ["code_interpreter", "plot", "citations", "reasoning"])
async def test_what_the_servers_own_tools_make(scenario, wires):
    await run(wires, f"[[scenario={scenario}]]Well?", include_steps=True)


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


async def test_an_image_and_a_history(wires, tmp_path):
    history = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hello, what is it?"}]
    await run(wires, "What is this?", messages=history, images=[str(tmp_path / "photo.png")])


async def test_an_answer_in_json(wires):
    result = await run(wires, "How many?", response_format=SCHEMA)
    assert list(result.parsed) == ["n"]


async def test_an_answer_that_does_not_fit_is_asked_for_once_more(wires):
    """What comes then is the emulator's affair: an echo has nothing new to repeat on a thread."""
    for wire, path in zip(wires, ("/runs", "/responses"), strict=True):
        result = await wire.worker.run("[[scenario=echo]]three", response_format=SCHEMA)
        first, second = wire.emulator.sent("POST", path)
        assert (result.runs, b"did not fit" in first.body, b"did not fit" in second.body) == (2, False, True)
        assert wire.left() == {}


async def test_a_batch_uploads_its_file_once_and_deletes_it_at_the_end(wires, tmp_path):
    fields = {"files": [str(tmp_path / "policy.txt")], "tools": ["file_search"], "batch": "b", "include_steps": True}
    for wire in wires:
        for number in range(3):
            wire.jobs.append(wire.worker.create(f"[[scenario=citations]]Meals, {number}?", **fields))
    for wire in wires:
        assert [(await wire.worker.see_through(job)).ok for job in wire.jobs[:-1]] == [True, True]
        assert wire.left() == {"files": 1, "vector_stores": 1}
    result = await both(wires, lambda wire: wire.worker.see_through(wire.jobs[-1]))
    assert [each.name for each in result.citations] == ["policy.txt"]
    assert [len(wire.emulator.sent("POST", "/files")) for wire in wires] == [1, 1]


async def test_a_follow_up(wires):
    texts = []
    for wire in wires:
        first = await wire.worker.run("[[scenario=echo]]One", keep_thread=True)
        second = await wire.worker.run("[[scenario=echo]]Two", thread=first.thread_id)
        texts.append((plain(first), plain(second), first.thread_id == second.thread_id))
        wire.worker.client.delete_thread(first.thread_id)
        await wire.worker.process.clean_up()
        assert wire.left() == {}
    assert texts[0] == texts[1]
    assert texts[0][2]


@pytest.mark.settings(tools=TOOLS)
@pytest.mark.parametrize("prompt", STAGES)
async def test_a_cancel_while_its_run(prompt, wires, until):
    async def cancelled(wire: Wire) -> JobResult:
        job = wire.worker.create(f"{prompt}Well?", tools=["endless"])
        running = asyncio.create_task(wire.worker.see_through(job))
        await asyncio.to_thread(until, lambda: len(BEATS) == len(WIRES) if "tools" in prompt else wire.runs())
        assert await asyncio.to_thread(wire.worker.client.cancel, job) is JobState.RUNNING
        return await running

    assert (await both(wires, cancelled)).state is JobState.CANCELLED


@pytest.mark.emulated(latency_s=0.8)
@pytest.mark.settings(lease_s=1.5)
async def test_a_cancel_while_its_run_is_on_its_way(wires, until):
    async def cancelled(wire: Wire) -> JobResult:
        job = wire.worker.create("[[run_s=60]]Well?")
        running = asyncio.create_task(wire.worker.see_through(job))
        on_its_way = lambda: wire.emulator.sent("POST", "/runs") + wire.emulator.sent("POST", "/responses")  # noqa: E731
        await asyncio.to_thread(until, on_its_way)
        assert wire.runs() == 0
        assert await asyncio.to_thread(wire.worker.client.cancel, job) is JobState.RUNNING
        result = await running
        assert wire.left() == {}
        return result

    result = await both(wires, cancelled)
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
        there = lambda: ': "beaten"' in wire.worker.record(job).progress.replace('":"', '": "')  # noqa: E731
        await asyncio.to_thread(until, wire.runs)
        if "calls" in prompt:
            await asyncio.to_thread(until, lambda: BEATS.count("endless") == len(WIRES) and there())
        await wire.worker.process.close()
        await running
        assert wire.worker.record(job).state is JobState.QUEUED
        wire.worker.process = WorkerProcess(wire.worker.settings, lambda job_id: None)
        return await wire.worker.see_through(job)

    result = await both(wires, resumed)
    assert (result.state, result.attempts, result.runs) == (JobState.SUCCEEDED, 1, 1)
    assert [wire.runs() for wire in wires] == [1, 2 if tools else 1], "a round of tools ends with a response of its own"
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
            await asyncio.to_thread(until, wire.runs)
        wire.emulator.faults(**{fault: 1}, only=route, times=1)
        result = await running
        assert wire.emulator.stats()["faults"] == {fault: 1}
        await wire.worker.process.clean_up()
        lost = result.lost_threads + result.lost_runs + result.lost_files
        assert sum(wire.left().values()) <= lost
        found.append({name: value for name, value in plain(result).items() if not name.startswith("lost_")})
    assert found[0] == found[1]
    assert found[0]["state"] == "succeeded"
