"""Tool calls that go to MCP servers, child processes and others."""

import asyncio
import os
import signal
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import uvicorn
from tests import mcp_server
from tests.forking.programs import join_server, write_programs

from threadmill import Client, FailureKind, InvalidJob, JobState, SettingsError
from threadmill.secrets.redaction import redact
from threadmill.settings.tools import McpSettings
from threadmill_cli.local.services import free_port
from threadmill_worker.tools import mcp_servers, registry
from threadmill_worker.tools.mcp_servers import McpServer, offered_name
from threadmill_worker.tools.tool import ToolFailed, ToolsUnavailable

pytestmark = pytest.mark.integration

#: Forked: a server spends two seconds of CPU on imports.
COMMAND = ["python", mcp_server.__file__]

with_server = pytest.mark.settings(mcp={"demo": {"command": COMMAND}})


@pytest.fixture(scope="module", autouse=True)
def _forked_servers(tmp_path_factory):
    programs = tmp_path_factory.mktemp("forked") / "programs"
    write_programs(programs, Path(sys.executable).parent)
    joined = join_server(programs, Path(sys.executable).parent)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(programs), prepend=os.pathsep)
        yield
    os.close(joined)


@contextmanager
def over_http(port: int) -> Iterator[str]:
    """The same server behind a URL, which is gone afterwards."""
    app = mcp_server.make().streamable_http_app()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None, timeout_graceful_shutdown=0))
    thread = threading.Thread(target=server.run, name="mcp server")
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    yield f"http://127.0.0.1:{port}/mcp"
    server.should_exit = True
    thread.join()


@pytest.fixture(params=["command", "url"])
async def demo(request):
    """The same server, as a child process and behind a URL."""
    with ExitStack() as running:
        if request.param == "command":
            settings = McpSettings(command=tuple(COMMAND))
        else:
            settings = McpSettings(url=running.enter_context(over_http(free_port())))
        server = McpServer("demo", settings)
        yield server
        await server.close()


@pytest.fixture
async def child():
    server = McpServer("demo", McpSettings(command=tuple(COMMAND)))
    yield server
    await server.close()


async def test_its_tools_are_offered_under_its_name(demo):
    tools = await demo.tools()

    assert {"demo__add", "demo__greet", "demo__read_file"} <= tools.keys()
    add = tools["demo__add"]
    assert (add.description, add.parameters["required"]) == ("Adds two numbers.", ["a", "b"])
    assert await add.call({"a": 1, "b": 2}) == "3"


@pytest.mark.parametrize(
    ("tool", "arguments", "output"),
    [
        ("greet", {"name": "天空"}, "hello, 天空"),
        ("look_up", {"name": "x"}, '{\n  "name": "x",\n  "ok": true\n}'),
        ("picture", {}, "[image, image/png, left out]"),
    ],
)
async def test_what_it_answers_becomes_text(child, tool, arguments, output):
    assert await child.call(tool, arguments) == output


@pytest.mark.parametrize(
    ("tool", "arguments", "says"),
    [
        ("fail", {"why": "no luck"}, "Error executing tool fail"),
        ("add", {"a": "x", "b": 1}, "valid integer"),
        ("absent", {}, "Unknown tool: absent"),
    ],
)
async def test_errors_of_the_server_reach_the_model(demo, tool, arguments, says):
    with pytest.raises(ToolFailed, match=says):
        await demo.call(tool, arguments)


async def test_all_who_come_while_it_is_started_wait_for_the_same_server(child):
    assert len(set(await asyncio.gather(*(child.call("pid", {}) for _ in range(20))))) == 1


async def test_calls_share_one_connection_at_the_same_time(child, tmp_path, until):
    hanging = asyncio.create_task(child.call("read.file", {"mark": str(tmp_path / "mark")}))
    await asyncio.to_thread(until, (tmp_path / "mark").exists)
    pids = {await child.call("pid", {}) for _ in range(3)}
    assert len(pids) == 1

    hanging.cancel()  # as a timeout would
    with pytest.raises(asyncio.CancelledError):
        await hanging
    assert {await child.call("pid", {})} == pids


async def test_a_server_killed_during_a_call_is_reported_and_restarted(child, tmp_path, until):
    first = int(await child.call("pid", {}))
    hanging = asyncio.create_task(child.call("read.file", {"mark": str(tmp_path / "mark")}))
    await asyncio.to_thread(until, (tmp_path / "mark").exists)
    os.kill(first, signal.SIGKILL)

    with pytest.raises(ToolFailed, match="its server 'demo' stopped during the call"):
        await hanging
    assert int(await child.call("pid", {})) != first


async def test_a_server_that_died_unseen_is_started_again_before_it_is_asked(child, until):
    first = int(await child.call("pid", {}))
    os.kill(first, signal.SIGKILL)
    await asyncio.to_thread(until, lambda: not child.connected)

    assert int(await child.call("pid", {})) != first


def _is_zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


async def test_a_server_behind_a_url_that_was_restarted_is_met_again():
    port = free_port()
    server = McpServer("demo", McpSettings(url=f"http://127.0.0.1:{port}/mcp"))
    for _ in range(2):
        with over_http(port):
            assert await server.call("add", {"a": 1, "b": 2}) == "3"
    await server.close()


async def test_only_the_tools_on_its_list_are_offered():
    server = McpServer("demo", McpSettings(command=tuple(COMMAND), tools=("add", "read.file")))
    assert list(await server.tools()) == ["demo__add", "demo__read_file"]
    await server.close()


async def test_variables_are_passed_by_name_and_never_shown(monkeypatch):
    secret = f"token-{uuid.uuid4().hex}"
    monkeypatch.setenv("DEMO_TOKEN", secret)
    monkeypatch.setenv("OTHER_TOKEN", "another")
    server = McpServer("demo", McpSettings(command=tuple(COMMAND), env=("DEMO_TOKEN",)))

    assert await server.call("variable", {"name": "DEMO_TOKEN"}) == secret
    assert await server.call("variable", {"name": "OTHER_TOKEN"}) == "not set"
    assert redact(f"the token is {secret}") == "the token is [key]"
    await server.close()


def test_a_missing_variable_is_reported_at_the_start(make_settings):
    settings = make_settings("http://127.0.0.1:9", mcp={"demo": {"command": COMMAND, "env": ["NO_SUCH_VARIABLE"]}})
    with pytest.raises(SettingsError, match="MCP server 'demo' needs NO_SUCH_VARIABLE"):
        registry.load(settings)


def test_without_the_package_there_is_one_clear_line(make_settings, monkeypatch):
    monkeypatch.setattr(registry, "find_spec", lambda name: None)
    settings = make_settings("http://127.0.0.1:9", mcp={"demo": {"command": COMMAND}})
    with pytest.raises(SettingsError, match=r"\[mcp.demo\] needs a package .* pip install .*\[mcp\]'"):
        registry.load(settings)


@pytest.mark.parametrize(
    ("command", "says"),
    [(["no-such-command-anywhere"], "FileNotFoundError"), ([sys.executable, "-c", "pass"], "Connection closed")],
)
async def test_a_server_that_does_not_start_is_reported_with_the_reason(command, says):
    server = McpServer("demo", McpSettings(command=tuple(command)))
    with pytest.raises(ToolsUnavailable, match=rf"the MCP server 'demo' cannot be used: .*{says}.*; see \[mcp.demo\]"):
        await server.tools()
    await server.close()


async def test_a_server_that_never_answers_is_abandoned(monkeypatch):
    monkeypatch.setattr(mcp_servers, "START_S", 0.3)
    server = McpServer("demo", McpSettings(command=(sys.executable, "-c", "import sys; sys.stdin.read()")))
    with pytest.raises(ToolsUnavailable, match=r"no answer within 0\.3 s"):
        await server.tools()
    await server.close()


@pytest.mark.parametrize(
    ("tool", "name"),
    [("read", "files__read"), ("read.file", "files__read_file"), ("lies/天", "files__lies__")],
)
def test_names_are_made_fit_for_functions(tool, name):
    assert offered_name("files", tool) == name


def test_long_names_stay_apart():
    names = {offered_name("files", "x" * 80 + end) for end in ("a", "b")}
    assert len(names) == 2
    assert {len(name) for name in names} == {64}


# From job to server.


@with_server
@pytest.mark.parametrize("tools", [["demo__greet"], ["demo"]])
async def test_a_job_names_one_tool_or_a_whole_server(worker, emulator, tools):
    result = await worker.run("[[scenario=tools tool=demo__greet]]\nTaipei", tools=tools)

    assert result.state is JobState.SUCCEEDED
    assert emulator.tool_outputs() == ["hello, Taipei"]
    offered = [tool["function"]["name"] for tool in emulator.sent("POST", "/runs")[0].json["tools"]]
    assert offered == tools if tools == ["demo__greet"] else len(offered) == 9
    assert emulator.sent("POST", "/pluginapi") == []


@with_server
async def test_calls_of_one_round_go_to_one_server(worker, emulator):
    await worker.run("[[scenario=parallel_tools tool=demo__pid]]\nWell?", tools=["demo"])

    assert len(emulator.tool_outputs()) == 3
    assert len(set(emulator.tool_outputs())) == 1


@with_server
async def test_an_unknown_tool_of_a_server_is_not_sent_to_the_platform(worker, emulator):
    result = await worker.run("[[scenario=tools tool=demo__absent]]\nWell?")

    assert result.state is JobState.SUCCEEDED
    assert emulator.tool_outputs() == [
        "The tool demo__absent failed: there is no tool of this name; there is: demo__..."
    ]
    assert emulator.sent("POST", "/pluginapi") == []


@with_server
async def test_a_job_that_names_a_tool_its_server_lacks_fails(worker, emulator):
    result = await worker.run(tools=["demo__absent"])

    assert (result.failure.kind, result.failure.retryable) == (FailureKind.REJECTED, True)
    assert "'demo__absent'" in result.failure.message
    assert emulator.requests == []


@with_server
def test_what_no_setting_knows_is_refused_before_it_is_enqueued(client):
    with pytest.raises(InvalidJob, match=r"there is no tool 'other' \(known: file_search, code_interpreter, demo\)"):
        client.check({"prompt": "Well?", "tools": ["other"]})


@pytest.mark.settings(mcp={"demo": {"command": ["no-such-command-anywhere"]}})
async def test_a_job_with_an_unreachable_mcp_server_fails_as_retryable(worker, emulator):
    result = await worker.run(tools=["demo"])

    assert (result.state, result.failure.kind) == (JobState.FAILED, FailureKind.UNREACHABLE)
    assert result.failure.retryable
    assert "the MCP server 'demo' cannot be used" in result.failure.message
    assert emulator.requests == []


@pytest.mark.settings(mcp={"demo": {"command": COMMAND, "timeout_s": 1.5}})
async def test_a_call_that_does_not_answer_in_time_is_abandoned(worker, emulator, tmp_path):
    prompt = f"[[scenario=tools tool=demo__read_file]]\n{tmp_path}/mark"
    result = await worker.run(prompt, tools=["demo"])

    assert result.state is JobState.SUCCEEDED
    assert emulator.tool_outputs() == ["The tool demo__read_file failed: it did not answer within 1.5 s"]


@pytest.mark.parametrize("extra", [[], ["--stubborn"]])
def test_a_worker_that_ends_takes_its_servers_along(make_settings, emulator, start_worker, until, extra):
    settings = make_settings(emulator.base_url, mcp={"demo": {"command": [*COMMAND, *extra]}})
    worker = start_worker(settings)
    Client(settings).enqueue({"prompt": "[[scenario=tools tool=demo__pid]]\nWell?", "tools": ["demo"]}).wait(30)
    [pid] = map(int, emulator.tool_outputs())
    assert Path(f"/proc/{pid}").exists()
    worker.stop()

    until(lambda: not Path(f"/proc/{pid}").exists() or _is_zombie(pid), 1)
