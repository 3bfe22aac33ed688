"""`threadmill init` writes the settings of a server that it has asked, and `threadmill doctor URL` prints them."""

import json
import os
import signal
import subprocess
import tomllib

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from typer.testing import CliRunner

from threadmill import Settings
from threadmill_cli import app
from threadmill_cli.local.services import free_port

pytestmark = pytest.mark.integration


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a command in this process, in an empty folder and without a terminal."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(app, [*arguments], prog_name="threadmill")


@pytest.fixture
def written(tmp_path):
    return lambda: tomllib.loads((tmp_path / "threadmill.toml").read_text())["endpoints"]


def test_the_file_is_written_and_threadmill_reads_it(run, written, emulator):
    done = run("init", "--url", f"{emulator.url}/v1", "--model", "emulator-1", "--yes")

    assert (done.exit_code, done.stdout) == (0, "")
    assert written() == {
        "local": {"kind": "responses", "base_url": f"{emulator.url}/v1", "api_key_env": "", "model": "emulator-1"}
    }
    assert Settings.load().endpoint_name(None) == "local"
    assert "threadmill batch notes/ --endpoint local --prompt 'Summarise:\\n{{ text }}' --out" in done.stderr
    assert emulator.left() == {}


def test_a_second_server_is_added_and_a_name_is_never_replaced(run, written, emulator, tmp_path):
    file = tmp_path / "threadmill.toml"
    file.write_text("# ours\nlease_s = 20\n")
    command = ("init", "--url", f"{emulator.url}/v1", "--no-prompt", "--yes")
    assert run(*command, "--name", "one").exit_code == 0
    assert run(*command, "--name", "two", "--model", "emulator-1").exit_code == 0
    before, calls = file.read_text(), len(emulator.requests)
    done = run(*command, "--name", "two")

    assert (done.exit_code, file.read_text(), len(emulator.requests)) == (2, before, calls)
    assert "has an endpoint 'two' already: choose another name with --name" in done.stderr
    assert before.startswith("# ours\nlease_s = 20\n\n[endpoints.one]\n")
    assert (written().keys(), Settings.load().lease_s) == ({"one", "two"}, 20)


def test_without_a_terminal_it_writes_only_with_yes(run, emulator, tmp_path):
    done = run("init", "--url", emulator.base_url, "--no-prompt")

    assert (done.exit_code, os.listdir(tmp_path)) == (2, [])
    assert "pass --yes" in done.stderr
    assert run("init").exit_code == 2


def test_stdout_gets_the_settings_alone(run, emulator, tmp_path):
    done = run("init", "--url", emulator.base_url, "--no-prompt", "--stdout")

    assert (done.exit_code, os.listdir(tmp_path)) == (0, [])
    assert tomllib.loads(done.stdout)["endpoints"]["local"]["kind"] == "responses"


@pytest.mark.emulated(api_key="right-key-4711")
def test_the_key_stays_in_its_variable(run, emulator, tmp_path, monkeypatch):
    monkeypatch.setenv("MY_KEY", "right-key-4711")
    command = ("init", "--url", emulator.base_url, "--yes", "--key-env")
    done = run(*command, "MY_KEY")
    pasted = run(*command, "gsk_0123456789abcdefghij", "--name", "other")

    assert done.exit_code == 0
    text = (tmp_path / "threadmill.toml").read_text()
    assert 'api_key_env = "MY_KEY"' in text
    assert pasted.exit_code == 2
    assert "this looks like a key" in pasted.stderr
    assert "export SERVER_API_KEY=" in pasted.stderr
    for secret in ("4711", "gsk_0123456789"):
        assert secret not in text + done.output + pasted.output


def test_an_unset_key_stops_it_unless_no_call_is_wanted(run, written, emulator, monkeypatch):
    command = ("init", "--url", f"{emulator.url}/v1", "--key-env", "MY_KEY", "--yes")
    done = run(*command)
    assert done.exit_code == 2
    assert "MY_KEY is not set here" in done.stderr
    assert "--no-calls" in done.stderr

    done = run(*command, "--no-calls", "--model", "m")
    assert (done.exit_code, emulator.requests) == (0, [])
    assert written()["local"] == {
        "kind": "chat",
        "base_url": f"{emulator.url}/v1",
        "api_key_env": "MY_KEY",
        "model": "m",
    }
    assert "export MY_KEY=..." in done.stderr


def test_a_server_that_cannot_be_used_leaves_no_file(run, tmp_path):
    done = run("init", "--url", f"http://127.0.0.1:{free_port()}/v1", "--yes")

    assert (done.exit_code, os.listdir(tmp_path)) == (1, [])
    assert "nothing listens there" in done.stderr
    assert "Nothing was written" in done.stderr


def test_at_a_terminal_it_asks(cli_command, emulator, tmp_path, written):
    ours, theirs = os.openpty()
    os.write(ours, f"{emulator.url}\n\nemulator-1\ny\n".encode())
    try:
        done = subprocess.run(
            cli_command("init"), cwd=tmp_path, stdin=theirs, capture_output=True, text=True, timeout=120, check=False
        )
    finally:
        os.close(ours)
        os.close(theirs)

    assert done.returncode == 0, done.stderr
    assert "URL of the server" in done.stderr
    assert "Name of the variable with its key" in done.stderr
    assert written()["local"]["base_url"] == f"{emulator.url}/v1"


def test_at_a_terminal_it_asks_which_of_several_models(cli_command, serve, tmp_path, written):
    async def models(request):
        return JSONResponse({"data": [{"id": "small"}, {"id": "large"}]})

    async def complete(request):
        named = (await request.json()).get("model")
        return JSONResponse({"error": {"message": f"{named} is loading"}}, 400)

    routes = [Route("/v1/models", models), Route("/v1/chat/completions", complete, methods=["POST"])]
    ours, theirs = os.openpty()
    os.write(ours, b"large\ny\n")
    command = cli_command("init", "--url", f"{serve(Starlette(routes=routes))}/v1")
    try:
        done = subprocess.run(
            command, cwd=tmp_path, stdin=theirs, capture_output=True, text=True, timeout=120, check=False
        )
    finally:
        os.close(ours)
        os.close(theirs)

    assert done.returncode == 0, done.stderr
    assert "name one: small, large" in done.stderr
    assert done.stderr.count("yes   Chat Completions ") == 1
    assert "with model 'large': 400 large is loading" in done.stderr
    assert (written()["local"]["kind"], written()["local"]["model"]) == ("chat", "large")


def test_ctrl_c_leaves_nothing(cli_command, emulator, tmp_path, until):
    ours, theirs = os.openpty()
    command = cli_command("init", "--url", f"{emulator.url}/v1", "--model", "emulator-1", "--no-prompt")
    with (tmp_path.parent / "init.log").open("w+") as log:
        process = subprocess.Popen(command, cwd=tmp_path, stdin=theirs, stdout=log, stderr=log, text=True)
        until(lambda: "Write this to" in (tmp_path.parent / "init.log").read_text())
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    os.close(ours)
    os.close(theirs)

    assert os.listdir(tmp_path) == []
    assert "Nothing was written." in (tmp_path.parent / "init.log").read_text()


def test_doctor_of_a_url_needs_no_settings(run, emulator, tmp_path, monkeypatch):
    monkeypatch.setenv("REDIS_URL", "nonsense")
    (tmp_path / "threadmill.toml").write_text("nonsense")
    done = run("doctor", emulator.url, "--model", "emulator-1")

    assert done.exit_code == 0, done.stderr
    assert tomllib.loads(done.stdout)["endpoints"]["local"]["model"] == "emulator-1"
    assert "yes   the Responses API " in done.stderr
    assert f"the base URL is {emulator.url}/v1" in done.stderr
    found = json.loads(run("doctor", emulator.url, "--json", "--no-prompt").stdout)
    assert (found["wire"], found["models"][0], found["base_url"]) == ("responses", "emulator-1", f"{emulator.url}/v1")
    assert {each["feature"] for each in found["findings"][:3] if each["has"]} == set(found["wires"])


def test_doctor_of_a_url_that_is_no_server_is_exit_1(run):
    url = f"http://127.0.0.1:{free_port()}"
    done = run("doctor", url)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "FAIL" in done.stderr
    done = run("doctor", url, "--json")
    assert (done.exit_code, json.loads(done.stdout)["url"]) == (1, url)


def test_options_for_a_url_are_refused_with_a_name(run):
    done = run("doctor", "emulator", "--key-env", "MY_KEY")
    assert done.exit_code == 2
    assert "is for a URL" in done.stderr


def test_doctor_of_a_url_refuses_a_key(run):
    done = run("doctor", "http://127.0.0.1:1/v1", "--key-env", "sk-abcdefgh0123")
    assert done.exit_code == 2
    assert "this looks like a key" in done.stderr
    assert "abcdefgh0123" not in done.output
