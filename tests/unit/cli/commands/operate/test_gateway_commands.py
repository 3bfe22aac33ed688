"""What the commands `gateway` and `dashboard` start."""

import pytest
from typer.testing import CliRunner

from threadmill_cli import app
from threadmill_cli.commands.operate import gateway


@pytest.fixture
def started(monkeypatch, tmp_path):
    """The arguments of the process that a command becomes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(gateway, "program", lambda name: [name])
    found: list[list[str]] = []
    monkeypatch.setattr(gateway.os, "execv", lambda _, command: found.append(command))

    def start(*arguments: str) -> list[str]:
        done = CliRunner().invoke(app, arguments)
        assert (done.exit_code, len(found)) == (0, 1), done.output
        return found[0]

    return start


def test_the_dashboard_serves_no_api_on_a_port_of_its_own(started):
    command = started("dashboard")
    assert command[:5] == ["gateway", "--host", "127.0.0.1", "--port", "8090"]
    assert "--no-api" in command
    assert "--no-dashboard" not in command
    assert "--read-only" not in command


def test_the_gateway_serves_both(started):
    command = started("gateway")
    assert command[4] == "8080"
    assert not {"--no-api", "--no-dashboard", "--read-only"} & set(command)


def test_options_are_passed_on(started):
    command = started(
        "dashboard", "--read-only", "--root-path", "/x", "--forwarded-allow-ips", "192.0.2.1", "--port", "0"
    )
    assert "--read-only" in command
    assert [command[command.index(name) + 1] for name in ("--root-path", "--forwarded-allow-ips", "--port")] == [
        "/x",
        "192.0.2.1",
        "0",
    ]


def test_the_gateway_without_pages(started):
    assert "--no-dashboard" in started("gateway", "--no-dashboard")


@pytest.mark.parametrize("name", ["gateway", "dashboard"])
def test_an_endpoint_is_for_local(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, [name, "--endpoint", "emulator"])
    assert (done.exit_code, "--local" in done.output) == (2, True)
