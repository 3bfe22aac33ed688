"""Runs commands of the worker package in a process of their own, because only the worker calls servers."""

import json
import os
import subprocess
from collections.abc import Mapping
from typing import Any

from threadmill.errors import ThreadmillError
from threadmill_cli.local.services import module


class WorkerCommandFailed(ThreadmillError):
    """The text says why it failed, and the remedy."""


def run_worker_command(command: str, *args: str, environment: Mapping[str, str], stdin: str = "") -> Any:
    """Runs `python -m threadmill_worker.admin.COMMAND ARGS` and returns the JSON that it prints.

    `environment`: variables added to our own. Raises WorkerCommandFailed, also if the JSON is {"error": text}.
    """
    done = subprocess.run(
        [*module("threadmill_worker")[:-1], f"threadmill_worker.admin.{command}", *args],
        env={**os.environ, **environment},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        reply = json.loads(done.stdout)
    except ValueError:
        raise WorkerCommandFailed(
            done.stderr.strip()
            or f"threadmill_worker.admin.{command} failed without a message (exit code {done.returncode})"
        ) from None
    if isinstance(reply, dict) and isinstance(reply.get("error"), str):
        raise WorkerCommandFailed(reply["error"])
    return reply
