"""Options that fill a job's fields, on `submit` and `batch` alike."""

from typing import Any

import pytest
from typer.testing import CliRunner

import threadmill_cli  # noqa: F401  # adds the commands to the app
from threadmill_cli.app import app
from threadmill_cli.commands import submit
from threadmill_cli.commands.batch import run as batch

OPTIONS = ["--model", "m", "--max-tokens", "300", "--temperature", "0.5", "--endpoint", "emulator"]
FIELDS = {"model": "m", "max_completion_tokens": 300, "temperature": 0.5}


class Seen(Exception):
    pass


def chosen(fields):
    return {name: fields[name] for name in FIELDS}


def test_submit_passes_model_limit_and_temperature_to_the_job(monkeypatch):
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
