"""The import contracts of pyproject.toml hold for whole folders: forbidden imports are added to a copy of the tree."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "threadmill": "producer",
    "threadmill_worker": "worker",
    "threadmill_emulator": "emulator",
    "threadmill_cli": "cli",
    "threadmill_gateway": "gateway",
}

#: Module, what it must not import, the contract that says so. Modules named `added` are new.
FORBIDDEN = [
    ("threadmill_worker.lifecycle.steps.recovery.call_errors", "redis", "The lifecycle is pure"),
    ("threadmill_worker.lifecycle.added", "redis", "The lifecycle is pure"),
    ("threadmill_worker.answer.schema", "openai", "Only drivers import openai"),
    ("threadmill_worker.attempt.added", "openai", "Only drivers import openai"),
    (
        "threadmill_worker.lifecycle.added",
        "threadmill_worker.drivers.base.driver",
        "The worker, from Celery down to what a model wrote",
    ),
    (
        "threadmill_worker.store.added",
        "threadmill.store.store",
        "The worker knows the producer's contract, not its verbs",
    ),
    (
        "threadmill.added",
        "threadmill_cli.local.services",
        "The commands are on top: neither the library nor the worker imports them",
    ),
    (
        "threadmill_gateway.jobs.added",
        "threadmill_worker.store.jobs",
        "The gateway is a service: it uses the library alone, and calls no server",
    ),
    ("threadmill.job.added", "redis", "The contract is values alone, and so is what Redis stores of it"),
    ("threadmill.store.records.added", "redis", "The contract is values alone, and so is what Redis stores of it"),
    (
        "threadmill.store.added",
        "threadmill.client",
        "The producer, from reports down to texts without secrets",
    ),
]


def path_of(tree: Path, module: str) -> Path:
    return tree / PACKAGES[module.partition(".")[0]] / f"{module.replace('.', '/')}.py"


def lint(tree: Path) -> tuple[bool, str]:
    """Whether all contracts are kept, and the report."""
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=tree,
        env={"PYTHONPATH": ":".join(PACKAGES.values()), "NO_COLOR": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
    )
    return done.returncode == 0, done.stdout


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the packages, with the contracts."""
    tree = tmp_path_factory.mktemp("tree")
    shutil.copy(ROOT / "pyproject.toml", tree)
    for package, folder in PACKAGES.items():
        shutil.copytree(ROOT / folder / package, tree / folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    return tree


@pytest.fixture(scope="module")
def report(tree: Path) -> str:
    """The report on the copy with all forbidden imports."""
    kept, report = lint(tree)
    assert kept, report
    for module, imported, _ in FORBIDDEN:
        with path_of(tree, module).open("a") as source:
            source.write(f"\nimport {imported}\n")
    new_room = tree / "emulator/threadmill_emulator/added"
    new_room.mkdir()
    (new_room / "__init__.py").touch()
    kept, report = lint(tree)
    assert not kept
    return report


@pytest.mark.parametrize(("module", "imported", "contract"), FORBIDDEN)
def test_a_forbidden_import_breaks_its_contract(report: str, module: str, imported: str, contract: str) -> None:
    assert f"{contract} BROKEN" in report
    assert f"{module} -> {imported} " in report


def test_a_new_room_has_no_place_until_it_is_listed(report: str) -> None:
    assert "The emulator, from HTTP down to the words of refusals BROKEN" in report
    assert "threadmill_emulator.added" in report
