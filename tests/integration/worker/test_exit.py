"""A worker exits with 0 only if it was asked to stop."""

import sys

import pytest
from tests.forking.forked import run

pytestmark = pytest.mark.integration

#: Something in Celery's main loop fails that nobody foresaw.
BROKEN = """
from celery.worker.consumer import Consumer

def on_ready(self):
    raise RuntimeError("unforeseen")

Consumer.on_ready = on_ready
"""


@pytest.mark.parametrize(
    "program",
    [
        "import sys; from threadmill_worker.__main__ import main; sys.argv = ['worker']; sys.exit(main())",
        "import sys; from celery.__main__ import main; "
        "sys.argv = ['celery', '-A', 'threadmill_worker', 'worker']; sys.exit(main())",
    ],
    ids=["threadmill worker", "celery worker"],
)
def test_a_worker_whose_loop_fails_exits_with_an_error(settings, settings_as_environment, tmp_path, program):
    ended = run(
        [sys.executable, "-c", BROKEN + program],
        cwd=tmp_path,
        env=settings_as_environment(settings),
        input="",
        timeout=60,
    )
    assert "unforeseen" in ended.stderr
    assert ended.returncode == 1
