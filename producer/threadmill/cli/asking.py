"""Questions that only the worker's code can answer: it alone calls servers, so it runs in a process of its own."""

import json
import os
import subprocess
from collections.abc import Mapping
from typing import Any

from threadmill.errors import ThreadmillError
from threadmill.local.services import module


class WorkerCommandFailed(ThreadmillError):
    """The text says why, and what to do."""


def ask_worker(question: str, *args: str, environment: Mapping[str, str], stdin: str = "") -> Any:
    """What `python -m threadmill_worker.admin.QUESTION ARGS` prints as JSON; raises WorkerCommandFailed.

    `environment`: added to our own. An answer {"error": text} is raised as an error.
    """
    asked = subprocess.run(
        [*module("threadmill_worker")[:-1], f"threadmill_worker.admin.{question}", *args],
        env={**os.environ, **environment},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        answer = json.loads(asked.stdout)
    except ValueError:
        raise WorkerCommandFailed(
            asked.stderr.strip()
            or f"threadmill_worker.admin.{question} failed without a message (exit code {asked.returncode})"
        ) from None
    if isinstance(answer, dict) and isinstance(answer.get("error"), str):
        raise WorkerCommandFailed(answer["error"])
    return answer
