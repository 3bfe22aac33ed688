"""Questions that only a worker can answer: the producer speaks to no server, so a process of the worker does."""

import json
import os
import subprocess
from collections.abc import Mapping
from typing import Any

from threadmill.errors import ThreadmillError
from threadmill.local import module


class Unanswered(ThreadmillError):
    """The question came to nothing; the text says why and what to do."""


def ask_worker(question: str, *args: str, environment: Mapping[str, str], stdin: str = "") -> Any:
    """What `python -m threadmill_worker.QUESTION ARGS` prints as JSON; raises Unanswered.

    `environment`: added to our own. A question answers with {"error": text} for what its asker must know.
    """
    asked = subprocess.run(
        [*module("threadmill_worker")[:-1], f"threadmill_worker.{question}", *args],
        env={**os.environ, **environment},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        answer = json.loads(asked.stdout)
    except ValueError:
        raise Unanswered(
            asked.stderr.strip() or f"the worker's {question} ended with exit {asked.returncode}"
        ) from None
    if isinstance(answer, dict) and isinstance(answer.get("error"), str):
        raise Unanswered(answer["error"])
    return answer
