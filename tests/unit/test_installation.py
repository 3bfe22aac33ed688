"""The command that adds an extra names what threadmill was installed from, and into which environment."""

import json
import shutil
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import threadmill
from threadmill import installation
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
