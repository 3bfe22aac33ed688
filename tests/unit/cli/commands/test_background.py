"""One process works on a results file; a second `--detach` says so."""

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

import threadmill_cli  # noqa: F401  # adds the commands to the app
from threadmill.batch.file_lock import file_lock, lock_holder
from threadmill_cli.app import Exit, app
from threadmill_cli.commands.batch import background

OUT = Path("results.jsonl")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text("A text.")


def test_who_works_on_a_results_file_is_known_while_it_does():
    assert lock_holder(OUT) is None
    with file_lock(OUT, lambda process: None):
        assert lock_holder(OUT) == str(os.getpid())
    assert lock_holder(OUT) is None


def test_a_lock_that_a_killed_process_left_holds_nothing():
    Path("results.jsonl.lock").write_text("1")
    assert lock_holder(OUT) is None


def test_a_second_detach_is_refused_and_starts_nothing(monkeypatch):
    monkeypatch.setattr(background.subprocess, "Popen", lambda *_, **__: pytest.fail("a process was started"))
    with file_lock(OUT, lambda process: None):
        refused = CliRunner().invoke(app, ["batch", "a.txt", "--endpoint", "emulator", "--name", "night", "--detach"])
    assert refused.exit_code == Exit.USAGE
    said = refused.stderr
    assert f"process {os.getpid()} already works on results.jsonl; nothing was started" in said
    assert "threadmill batch attach night" in said
