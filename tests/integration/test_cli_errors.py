"""What the command line says when it cannot do what it was asked to: one line, a remedy, no traceback."""

import json

import pytest

from threadmill.local import free_port

pytestmark = pytest.mark.integration

GONE = f"redis://:s3cret@127.0.0.1:{free_port()}/0"


def in_one_line(done, *words: str) -> bool:
    return (
        done.returncode == 2
        and done.stdout == ""
        and done.stderr.count("\n") == 1
        and all(word in done.stderr for word in words)
    )


@pytest.mark.parametrize(
    "command",
    [
        ["submit", "Well?", "--endpoint", "emulator"],
        ["status", "x"],
        ["result", "x"],
        ["wait", "x"],
        ["cancel", "x"],
        ["redrive", "x"],
        ["jobs"],
        ["leftovers"],
        ["batch", "doc.md", "--endpoint", "emulator"],
    ],
)
def test_a_redis_that_is_not_there(run_cli, tmp_path, command):
    (tmp_path / "doc.md").write_text("a text")
    done = run_cli(*command, REDIS_URL=GONE)

    assert in_one_line(done, "threadmill: Redis at redis://127.0.0.1:", "does not answer", "use --local"), done.stderr
    assert "s3cret" not in done.stderr


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["submit", "Well?"], "no endpoint is configured. Set DAVINCI_API_KEY"),
        (["submit", "Well?", "--endpoint", "azure"], "there is no endpoint 'azure'; the settings have emulator"),
        (["submit", "--endpoint", "emulator"], "a job needs `prompt`, `messages` or `images`"),
        (["submit", " ", "--endpoint", "emulator"], "`prompt`: is blank"),
        (["submit", "--job", "nowhere.json"], "nowhere.json: "),
        (["submit", "--job", "list.json"], "not a JSON object with a job's fields"),
        (["submit", "--job", "odd.json", "--endpoint", "emulator"], "unknown field `promt`"),
    ],
)
def test_a_job_that_cannot_be_enqueued(run_cli, tmp_path, command, says):
    (tmp_path / "list.json").write_text("[1]")
    (tmp_path / "odd.json").write_text('{"prompt": "Well?", "promt": "x"}')

    assert in_one_line(run_cli(*command, REDIS_URL=GONE), says)


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("leese_s = 5", "unknown field `leese_s`"),
        ("lease_s = ", "cannot read the settings"),
        ('[endpoints.mine]\nkind = "assistants"\n', "`endpoints.mine.base_url`"),
    ],
)
@pytest.mark.parametrize("command", [["jobs"], ["worker"]])
def test_settings_that_cannot_be_used(run_cli, tmp_path, toml, says, command):
    (tmp_path / "threadmill.toml").write_text(toml)

    assert in_one_line(run_cli(*command), says, "threadmill.toml")


def test_a_key_that_is_not_set(run_cli, tmp_path):
    (tmp_path / "threadmill.toml").write_text('[endpoints.davinci]\nassistant = "asst_mine"\n')

    assert in_one_line(
        run_cli("submit", "Well?", "--local"), "needs its key in DAVINCI_API_KEY", "export DAVINCI_API_KEY="
    )


@pytest.mark.parametrize("command", [["cancel"], ["submit", "--colour"], ["frobnicate"], ["wait"]])
def test_a_command_that_is_used_wrongly(run_cli, command):
    done = run_cli(*command)

    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr


def test_doctor_says_which_check_failed(run_cli):
    done = run_cli("doctor", "--endpoint", "emulator", "--json", REDIS_URL=GONE)
    findings = json.loads(done.stdout)

    assert done.returncode == 1
    assert [(finding["check"], finding["ok"]) for finding in findings] == [("settings", True), ("redis", False)]
    assert "does not answer" in findings[1]["detail"]


def test_doctor_misses_a_worker(run_cli, settings, settings_as_environment):
    done = run_cli("doctor", "--json", **settings_as_environment(settings))
    findings = json.loads(done.stdout)

    assert done.returncode == 1
    assert findings[-1] == {
        "check": "workers",
        "ok": False,
        "detail": "none is alive: start one with `threadmill worker`",
    }


def test_submit_local_does_it_all_in_one_command(run_cli, tmp_path):
    done = run_cli("submit", "[[run_s=0.1]] Why is the sky blue?", "--endpoint", "emulator", "--local")

    assert done.returncode == 0, done.stderr
    assert "Why is the sky blue?" in done.stdout
    assert "\x1b[" not in done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == [tmp_path / ".threadmill"]
