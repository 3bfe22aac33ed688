"""deploy/systemd: the units, against the command line."""

import shlex
from collections import defaultdict

import pytest
from tests.unit.deploy.deployed import DEPLOY, ROOT, options_unknown_to

UNITS = sorted((DEPLOY / "systemd").glob("*.service"))

#: Seconds that a process may take to end after SIGTERM.
STOPS_WITHIN_S = 15


def read(unit):
    """The values of each key of a unit, by section and key."""
    values, section = defaultdict(list), ""
    for line in unit.read_text().splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            values[section, key].append(value)
    return values


def test_each_long_running_command_has_a_unit():
    commands = {shlex.split(read(unit)["Service", "ExecStart"][0])[1] for unit in UNITS}
    assert commands == {"worker", "gateway", "report"}


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_its_command_has_these_options(unit):
    [command] = read(unit)["Service", "ExecStart"]
    program, *arguments = shlex.split(command)
    assert program.endswith("/bin/threadmill")
    assert not options_unknown_to(arguments)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_it_is_started_again_unless_that_is_useless(unit):
    values = read(unit)
    assert values["Service", "Restart"] == ["always"]
    assert values["Service", "RestartPreventExitStatus"] == ["2"], "exit code 2: a mistake in the settings"
    assert values["Unit", "StartLimitIntervalSec"] == ["0"]
    assert int(values["Service", "TimeoutStopSec"][0]) >= STOPS_WITHIN_S


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_docs_name_its_files(unit):
    page = (ROOT / "docs" / "deploy.md").read_text("utf-8")
    values = read(unit)
    folders = [f"/var/lib/{values['Service', 'StateDirectory'][0]}", values["Service", "WorkingDirectory"][0]]
    assert len(set(folders)) == 1
    for path in (*folders, *values["Service", "EnvironmentFile"]):
        assert path in page
