"""Extras: what works without them, the error that names one, and the command that adds it."""

import importlib
import json
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import threadmill
from threadmill import installation
from threadmill.__main__ import main
from threadmill.errors import MissingExtra
from threadmill_cli.app import app


class Installed:
    """A distribution as importlib.metadata shows it."""

    metadata = {"Name": "threadmill"}  # noqa: RUF012

    def __init__(self, origin: dict[str, Any] | None) -> None:
        self._origin = origin

    def read_text(self, name: str) -> str | None:
        assert name == "direct_url.json"
        return None if self._origin is None else json.dumps(self._origin)


@pytest.mark.parametrize(
    ("origin", "command"),
    [
        (None, "pip install 'threadmill[s3]'"),
        ({"url": "file:///src/mill", "dir_info": {"editable": True}}, "pip install -e '/src/mill[s3]'"),
        ({"url": "file:///src/my%20mill", "dir_info": {}}, "pip install '/src/my mill[s3]'"),
        ({"url": "file:///tmp/t-1.whl", "archive_info": {}}, "pip install '/tmp/t-1.whl[s3]'"),
        ({"url": "https://host/t-1.whl", "archive_info": {}}, "pip install 'threadmill[s3] @ https://host/t-1.whl'"),
        (
            {"url": "https://host/mill", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
            "pip install 'threadmill[s3] @ git+https://host/mill@abc'",
        ),
    ],
    ids=["index", "editable clone", "clone", "wheel", "archive at a URL", "repository"],
)
def test_command_names_what_was_installed(monkeypatch, origin, command):
    monkeypatch.setattr(installation, "distribution", lambda name: Installed(origin))
    monkeypatch.setattr(shutil, "which", lambda name: str(Path(sys.executable).with_name(name)))
    assert installation.install_command("s3") == command


def test_environment_that_is_not_on_path_is_named(monkeypatch):
    monkeypatch.setattr(installation, "distribution", lambda name: Installed(None))
    monkeypatch.setattr(sys, "executable", "/srv/my venv/bin/python")
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/pip")
    assert installation.install_command("s3") == "'/srv/my venv/bin/python' -m pip install 'threadmill[s3]'"


def test_environment_without_pip_gets_the_command_of_uv(monkeypatch):
    monkeypatch.setattr(installation, "distribution", lambda name: Installed(None))
    monkeypatch.setattr(installation, "find_spec", lambda name: None)
    monkeypatch.setattr(sys, "executable", "/srv/bin/python")
    assert installation.install_command("s3") == "uv pip install --python /srv/bin/python 'threadmill[s3]'"


def test_version_is_that_of_the_distribution():
    assert threadmill.__version__ == version("threadmill")
    assert CliRunner().invoke(app, ["--version"]).stdout == f"threadmill {version('threadmill')}\n"


def _run(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)


BARE = """
import sys
for package in ("charset_normalizer", "cronsim", "jinja2", "markdown_it", "openai", "pathspec", "rich", "structlog",
                "tomli_w", "typer", "yaml"):
    sys.modules[package] = None
"""


def test_a_service_needs_the_base_alone() -> None:
    done = _run(BARE + "from threadmill import Client; Client().check({'prompt': 'Well?', 'endpoint': 'emulator'})")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("room", ["batch", "documents", "export", "reports"])
def test_code_of_a_missing_extra_raises_an_error_that_names_it(room: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "find_spec", lambda name: None)
    with pytest.raises(
        MissingExtra, match=r"^this needs threadmill\[batch\].*not installed here: .* install "
    ) as raised:
        importlib.reload(importlib.import_module(f"threadmill.{room}"))
    assert isinstance(raised.value, ModuleNotFoundError)


def test_the_command_without_its_extra_says_so_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(installation, "find_spec", lambda name: None)
    with pytest.raises(SystemExit) as ended:
        main()
    told = capsys.readouterr().err
    assert (ended.value.code, told.count("\n")) == (2, 1)
    assert told.startswith("threadmill: this needs threadmill[cli], which is not installed here: ")
