"""What importing threadmill imports."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.integration

WORKERS_OWN = [
    "openai",
    "httpx",
    "httpx2",
    "aiohttp",
    "tenacity",
    "structlog",
    "threadmill_worker",
    "threadmill_emulator",
]


def modules_after(code: str) -> set[str]:
    script = f"{code}\nimport sys; print(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "code",
    [
        "import threadmill",
        "from threadmill import *",
        "from threadmill import Client, PromptJob\nPromptJob(prompt='Well?').digest\nClient()",
        "import threadmill_cli",
        "import threadmill.batch.run, threadmill_cli.local.services",
    ],
)
def test_the_producer_imports_nothing_of_the_workers(code):
    assert modules_after(code).isdisjoint(WORKERS_OWN)


def test_importing_threadmill_is_fast():
    assert modules_after("import threadmill").isdisjoint(["celery", "redis", "pydantic"])


def test_the_emulator_imports_nothing_of_ours():
    modules = modules_after("import threadmill_emulator.__main__")

    assert "starlette" in modules
    assert modules.isdisjoint(["threadmill", "threadmill_worker", "openai", "celery", "redis"])
