"""What a command imports before it does anything. Each start of `threadmill` pays for it."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.integration

#: Packages that take long to import, and modules of ours that import them.
HEAVY = {
    "aiohttp",
    "celery",
    "charset_normalizer",
    "cronsim",
    "fastapi",
    "httpx",
    "jinja2",
    "openai",
    "pathspec",
    "structlog",
    "threadmill.async_client",
    "threadmill.batch",
    "threadmill.documents",
    "threadmill.export",
    "threadmill.reports",
    "threadmill_worker",
    "uvicorn",
}

#: What nothing needs that calls no Redis and reads no settings.
FOR_REDIS = {"asyncio", "pydantic_settings", "redis", "threadmill.client", "threadmill.settings.settings"}

BASH_COMPLETES = {"_THREADMILL_COMPLETE": "complete_bash", "COMP_WORDS": "threadmill batch s", "COMP_CWORD": "2"}

SCRIPT = """
import atexit, sys
sys.argv[0] = "threadmill"
atexit.register(lambda: print("MODULES", *sys.modules))
from threadmill.__main__ import main
main()
"""


def modules_of(*arguments, **variables):
    environment = {**os.environ, **variables}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments], env=environment, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split("MODULES")[1].split())


@pytest.mark.parametrize(
    "arguments",
    [("--help",), ("--version",), ("jobs", "--help"), ("batch", "--help"), ("report", "--help")],
    ids=" ".join,
)
def test_a_list_of_commands_imports_none_of_them(arguments):
    assert not modules_of(*arguments) & (HEAVY | FOR_REDIS)


def test_completion_of_a_command_imports_none():
    assert not modules_of(**BASH_COMPLETES) & (HEAVY | FOR_REDIS)


@pytest.mark.parametrize(
    "arguments",
    [("config", "show"), ("jobs", "list", "--help"), ("submit", "--help"), ("worker", "--help"), ("keys", "--help")],
    ids=" ".join,
)
def test_a_command_imports_nothing_that_only_others_need(arguments):
    assert not modules_of(*arguments) & HEAVY
