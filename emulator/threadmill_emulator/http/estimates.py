"""How many tokens a request is charged before its use is known.

As OpenAI does: the larger of the requested maximum and an estimate from the number of characters
(developers.openai.com/api/docs/guides/rate-limits).
"""

from collections.abc import Iterable

from threadmill_emulator.chat import history
from threadmill_emulator.content.text import tokens
from threadmill_emulator.responses import context, items
from threadmill_emulator.runs.threads import Thread
from threadmill_emulator.schemas.chat import CreateCompletion
from threadmill_emulator.schemas.responses import CreateResponse
from threadmill_emulator.schemas.runs import RunSettings


def of_run(thread: Thread, body: RunSettings) -> int:
    read = [message.text() for message in thread.messages.values()]
    return _larger(body.max_completion_tokens, [*read, body.instructions or ""])


def of_response(body: CreateResponse) -> int:
    """Returns the tokens of its own input, without those of earlier responses."""
    read = [context.text(item) for item in items.taken(body.input)]
    return _larger(body.max_output_tokens, [*read, body.instructions or ""])


def of_completion(body: CreateCompletion) -> int:
    return _larger(body.token_limit, map(history.written, body.messages))


def of_outputs(outputs: Iterable[str]) -> int:
    return _larger(None, outputs)


def _larger(most: int | None, texts: Iterable[str]) -> int:
    return max(most or 0, sum(map(tokens, texts)))
