"""The units, as systemd reads them. Collected where there is a systemd-analyze; test_systemd.py needs none."""

import subprocess

import pytest
from tests.unit.deploy.test_systemd import UNITS


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_knows_every_line(unit, tmp_path):
    program = tmp_path / "threadmill"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    copied = tmp_path / unit.name
    copied.write_text(unit.read_text().replace("/opt/threadmill/bin/threadmill", str(program)))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copied)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
