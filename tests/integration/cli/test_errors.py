"""What the command line says when it cannot do what it was asked to: one line, a remedy, no traceback."""

import json
import os

import pytest
from tests.own_redis import own_redis
from typer.testing import CliRunner

from threadmill_cli import app
from threadmill_cli.local.services import free_port

pytestmark = pytest.mark.integration

GONE = f"redis://:s3cret@127.0.0.1:{free_port()}/0"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a command in this process, in an empty folder."""

    def refuse(*command):
        raise AssertionError(f"became {command}")

    def run_command(*arguments, **variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return CliRunner().invoke(app, list(arguments), prog_name="threadmill")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "execv", refuse)
    return run_command


def in_one_line(done, *words: str) -> bool:
    return (
        done.exit_code == 2
        and done.stdout == ""
        and done.stderr.count("\n") == 1
        and all(word in done.stderr for word in words)
    )


@pytest.mark.parametrize(
    "command",
    [
        ["jobs"],
        ["jobs", "show", "x"],
        ["jobs", "wait", "x"],
        ["jobs", "cancel", "x"],
        ["batch", "attach", "x"],
        ["report", "list"],
        ["leftovers"],
        ["threads"],
    ],
)
def test_a_command_without_local_advises_none(run, command):
    done = run(*command, REDIS_URL=GONE)

    path = " ".join(word for word in command if word != "x")
    assert in_one_line(
        done, "threadmill: Redis at redis://127.0.0.1:", "does not answer", f"threadmill local -- threadmill {path}"
    ), done.stderr
    assert "use --local" not in done.stderr
    assert "s3cret" not in done.stderr


@pytest.mark.parametrize("command", ["submit", "batch"])
def test_a_command_with_local_advises_it(run, tmp_path, command):
    (tmp_path / "doc.md").write_text("a text")
    done = run(command, "doc.md", "--endpoint", "emulator", REDIS_URL=GONE)

    assert in_one_line(done, "does not answer", "or use --local"), done.stderr
    assert "s3cret" not in done.stderr


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("redis://127.0.0.1:{port}/0", "needs a password: set REDIS_URL=redis://:PASSWORD@HOST"),
        ("redis://:wr0ng@127.0.0.1:{port}/0", "refused the password: correct it in REDIS_URL"),
        ("redis://:s3cret@127.0.0.1:{port}/99", "has no database of this number"),
        ("redis://reader:s3cret@127.0.0.1:{port}/0", "does not permit a command"),
    ],
)
def test_a_redis_that_refuses_is_not_reported_as_absent(run, locked_redis, address, says):
    done = run("jobs", REDIS_URL=address.format(port=locked_redis))

    assert in_one_line(done, says), done.stderr
    assert "does not answer" not in done.stderr
    assert not any(secret in done.stderr for secret in ("s3cret", "wr0ng"))


@pytest.fixture(scope="module")
def locked_redis(tmp_path_factory):
    """The port of a Redis with a password, and with a user `reader` who may do nothing but PING."""
    config = "requirepass s3cret\nuser reader on >s3cret +ping"
    with own_redis(tmp_path_factory.mktemp("locked-redis"), config, password="s3cret") as port:
        yield port


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["submit", "Well?"], "no endpoint is configured. Set DAVINCI_API_KEY"),
        (["submit", "Well?", "--endpoint", "azure"], "there is no endpoint 'azure'; the settings have emulator"),
        (["submit", "--endpoint", "emulator"], "a job needs `prompt`, `messages` or `images`"),
        (["submit", " ", "--endpoint", "emulator"], "PROMPT is empty"),
        (["submit", "--job", "nowhere.json"], "nowhere.json: cannot be read: No such file or directory"),
        (["submit", "--job", "."], ".: cannot be read: Is a directory"),
        (["submit", "--job", "broken.json"], "broken.json: not valid JSON: "),
        (["submit", "--job", "binary.json"], "binary.json: not UTF-8 text"),
        (["submit", "-", "--endpoint", "emulator"], "stdin is empty"),
        (["submit", "Well?", "--image", "gone.png", "--endpoint", "emulator"], "gone.png: there is no such file"),
        (
            ["submit", "Well?", "--image", "odd.json", "--endpoint", "emulator"],
            "add its folder to file_roots in thread",
        ),
        (["submit", "--job", "list.json"], "not a JSON object with a job's fields"),
        (["submit", "--job", "odd.json", "--endpoint", "emulator"], "unknown field `promt`"),
    ],
)
def test_a_job_that_cannot_be_enqueued(run, tmp_path, command, says):
    (tmp_path / "list.json").write_text("[1]")
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "binary.json").write_bytes(b'{"prompt": "\xff\xfe"}')
    (tmp_path / "odd.json").write_text('{"prompt": "Well?", "promt": "x"}')

    assert in_one_line(run(*command, REDIS_URL=GONE), says)


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("leese_s = 5", "unknown field `leese_s`"),
        ("lease_s = ", "is not valid TOML"),
        ('[endpoints.mine]\nkind = "assistants"\n', "`endpoints.mine.base_url`"),
    ],
)
@pytest.mark.parametrize("command", [["jobs"], ["worker"]])
def test_settings_that_cannot_be_used(run, tmp_path, toml, says, command):
    (tmp_path / "threadmill.toml").write_text(toml)

    assert in_one_line(run(*command), says, "threadmill.toml")


def test_a_key_that_is_not_set(run, tmp_path):
    (tmp_path / "threadmill.toml").write_text('[endpoints.davinci]\nassistant = "asst_mine"\n')

    assert in_one_line(run("submit", "Well?", "--local"), "needs its key in DAVINCI_API_KEY", "export DAVINCI_API_KEY=")


@pytest.mark.parametrize("command", [["jobs", "cancel"], ["submit", "--colour"], ["frobnicate"], ["status", "x"]])
def test_a_command_that_is_used_wrongly(run, command):
    done = run(*command)

    assert (done.exit_code, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr


def test_doctor_says_which_check_failed(run):
    done = run("doctor", "--endpoint", "emulator", "--json", REDIS_URL=GONE)
    findings = json.loads(done.stdout)

    assert done.exit_code == 1
    assert [(finding["check"], finding["ok"]) for finding in findings] == [("settings", True), ("redis", False)]
    assert "does not answer" in findings[1]["detail"]


def test_doctor_misses_a_worker(run, settings, settings_as_environment):
    done = run("doctor", "--json", **settings_as_environment(settings))
    findings = json.loads(done.stdout)

    assert done.exit_code == 1
    assert findings[-1] == {
        "check": "workers",
        "ok": False,
        "detail": "no worker is running: start one with `threadmill worker`",
        "warning": False,
    }


def test_submit_local_does_it_all_in_one_command(run_cli, tmp_path):
    done = run_cli("submit", "[[run_s=0.1]] Why is the sky blue?", "--endpoint", "emulator", "--local")

    assert done.returncode == 0, done.stderr
    assert "Why is the sky blue?" in done.stdout
    assert "\x1b[" not in done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == [tmp_path / ".threadmill"]
    saved = list((tmp_path / ".threadmill" / "redis").rglob("*.*"))
    assert saved, "what Redis holds is kept"
    assert all(path.suffix != ".rdb" for path in saved), "as commands, which any Redis or Valkey reads"
