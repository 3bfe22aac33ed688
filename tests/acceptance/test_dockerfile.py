"""The Dockerfile without Docker: what it installs, from what it copies, works on its own."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

pytestmark = pytest.mark.acceptance

ROOT = Path(__file__).parents[2]
LINES = (ROOT / "Dockerfile").read_text().splitlines()

INSTALL_S = 600


def instructions(word: str) -> list[str]:
    return [line.removeprefix(f"{word} ") for line in LINES if line.startswith(f"{word} ")]


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """The image's folder: what the COPY lines bring, and nothing else."""
    folder = tmp_path / "app"
    folder.mkdir()
    allowed = {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"}
    for line in instructions("COPY"):
        *sources, target = line.split()
        for source in sources:
            assert source in allowed, f"{source} is kept out by .dockerignore"
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, folder / target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / source, folder / target)
    return folder


def test_the_image_installs_and_starts(app, tmp_path, tell):
    [install] = [line for line in instructions("RUN") if line.startswith("pip install")]
    for name, _, default in (line.partition("=") for line in instructions("ARG")):
        install = install.replace(f"${{{name}}}", default)
    venv.create(tmp_path / "venv")
    bin_ = tmp_path / "venv" / "bin"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "THREADMILL"))}
    environment["PATH"] = f"{bin_}:{environment['PATH']}"

    def run(*command: str, folder: Path = tmp_path, within_s: float = 60) -> str:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=within_s, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    # uv takes pip's options, and a tenth of its time. Its cache is no part of an image.
    uv = (str(Path(sys.executable).with_name("uv")), "pip")
    of_the_image = ("--python", str(bin_ / "python"))
    options = [word for word in shlex.split(install.removeprefix("pip install ")) if word != "--no-cache-dir"]
    run(*uv, "install", *of_the_image, *options, folder=app, within_s=INSTALL_S)
    [entrypoint] = map(json.loads, instructions("ENTRYPOINT"))
    [default] = map(json.loads, instructions("CMD"))
    program = str(bin_ / entrypoint[0])
    assert default[0] in run(program, "--help")
    assert "--concurrency" in run(program, *default, "--help")
    assert "--concurrency" in run(str(bin_ / "python"), "-m", "threadmill_worker", "--help")
    assert "--fault" in run(program, "emulator", "--help")
    assert "--root-path" in run(str(bin_ / "python"), "-m", "threadmill_gateway", "--help")
    listed = run(*uv, "list", *of_the_image, "--format", "freeze")
    loose = names(listed) - names((ROOT / "constraints.txt").read_text())
    assert loose == {"threadmill"}, "every package is pinned"
    assert {"pypdf", "mcp"} <= names(listed), "a report reads PDFs, a worker calls MCP servers"
    tell(f"{len(names(listed))} packages, Python {sys.version.split()[0]}")


def names(requirements: str) -> set[str]:
    """Of packages, one NAME==VERSION a line."""
    found = (line.partition("==")[0] for line in requirements.splitlines() if "==" in line)
    return {name.lower().replace("_", "-") for name in found}
