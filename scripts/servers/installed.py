"""Environments of their own for the servers, from PyPI; they are used again when the same versions are asked for."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from check_installs import pythons
from packaging.specifiers import SpecifierSet

from threadmill.errors import ThreadmillError

_UV = Path(sys.executable).with_name("uv")
_INSTALL_S = 900


class NotInstalled(ThreadmillError):
    """A server could not be installed; the text says why."""


def installed(folder: Path, python: str, packages: Sequence[str], without_dependencies: Sequence[str] = ()) -> Path:
    """The `bin` folder of an environment that has these packages. `python`: the versions that they need, `>=3.12`."""
    bin, stamp = folder / "bin", folder / "installed"
    wanted = "\n".join([python, *packages, *without_dependencies])
    if stamp.exists() and stamp.read_text() == wanted:
        return bin
    fit = [found for found in pythons() if str(found) in SpecifierSet(python)]
    if not fit:
        raise NotInstalled(f"{', '.join(packages)} need Python {python}, and none is found on PATH or in pyenv")
    _uv("venv", "--clear", "--python", fit[0].path, str(folder))
    _uv("pip", "install", "--python", str(bin / "python"), *packages)
    if without_dependencies:
        _uv("pip", "install", "--no-deps", "--python", str(bin / "python"), *without_dependencies)
    stamp.write_text(wanted)
    return bin


def _uv(*arguments: str) -> None:
    command = [str(_UV), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_S, check=False)
    except subprocess.TimeoutExpired:
        raise NotInstalled(f"`uv {' '.join(arguments)}` did not end in {_INSTALL_S} s") from None
    if done.returncode:
        raise NotInstalled(f"`uv {' '.join(arguments)}` failed: {done.stderr.strip()[-1500:]}")
