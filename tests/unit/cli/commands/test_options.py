"""Options that fill a job's fields, on `submit` and `batch` alike."""

from typing import Any

import pytest
from typer.testing import CliRunner

import threadmill_cli  # noqa: F401  # adds the commands to the app
from threadmill_cli.app import app
from threadmill_cli.commands import submit
from threadmill_cli.commands.batch import run as batch

OPTIONS = ["--model", "m", "--max-tokens", "300", "--temperature", "0.5", "--seed", "7", "--service-tier", "priority"]
FIELDS = {"model": "m", "max_completion_tokens": 300, "temperature": 0.5, "seed": 7, "service_tier": "priority"}

#: The settings of the command: an endpoint that takes all of these fields.
SETTINGS = """
default_endpoint = "local"

[endpoints.local]
kind = "chat"
base_url = "http://127.0.0.1:9/v1"
"""


@pytest.fixture(autouse=True)
def _settings(monkeypatch, tmp_path):
    (tmp_path / "threadmill.toml").write_text(SETTINGS)
    monkeypatch.setenv("THREADMILL_CONFIG", str(tmp_path / "threadmill.toml"))


class Seen(Exception):
    pass


def chosen(fields):
    return {name: fields[name] for name in FIELDS}


def test_submit_passes_the_options_to_the_job(monkeypatch):
    class Client:
        def __init__(self, settings: Any) -> None:
            pass

        def check(self, job):
            raise Seen(chosen(job.model_dump()))

    monkeypatch.setattr(submit, "Client", Client)
    assert CliRunner().invoke(app, ["submit", "Hello", *OPTIONS]).exception.args == (FIELDS,)


def test_batch_passes_them_to_every_job(monkeypatch, tmp_path):
    def see(client, documents, template, fields):
        raise Seen(chosen(fields))

    monkeypatch.setattr(batch, "show_forecast", see)
    (tmp_path / "a.txt").write_text("A text.")
    done = CliRunner().invoke(app, ["batch", str(tmp_path), "--dry-run", *OPTIONS])
    assert done.exception.args == (FIELDS,)


@pytest.mark.parametrize("command", ["submit", "batch"])
def test_a_temperature_out_of_range_is_refused(command):
    refused = CliRunner().invoke(app, [command, "x", "--temperature", "3"])
    assert refused.exit_code == 2
    assert "--temperature" in refused.stderr


def test_a_lane_that_does_not_exist_is_refused_in_a_sentence():
    refused = CliRunner().invoke(app, ["submit", "x", "--lane", "flexx"], env={"COLUMNS": "200"})
    assert refused.exit_code == 2
    assert "Invalid value for '--lane': 'flexx' is not one of 'batch', 'flex'" in refused.stderr
