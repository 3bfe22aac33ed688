"""How a contestant's process receives prompts, as a JSON list on a line of its input, and returns the answers."""

import json
import sys
from collections.abc import Callable, Sequence
from typing import IO, NamedTuple


class Answer(NamedTuple):
    at: float  #: when the caller could have it, as Unix time
    late_s: float  #: after the end of the run


def serve(answer: Callable[[list[str]], Sequence[Answer]]) -> None:
    """Answers lists of prompts until the input ends."""
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(json.loads(line))) + "\n")
        sys.stdout.flush()


def ask(sent: IO[str], received: IO[str], prompts: Sequence[str]) -> list[Answer]:
    """Sends prompts to a process that calls `serve`. Raises EOFError if it ends instead; its traceback is shown."""
    sent.write(json.dumps(prompts) + "\n")
    sent.flush()
    if not (line := received.readline()):
        raise EOFError("the process that asks ended before it had the answers")
    return [Answer(*each) for each in json.loads(line)]
