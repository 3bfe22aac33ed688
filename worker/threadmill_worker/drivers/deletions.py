"""Deletes what servers can delete. Some lack the routes: vLLM has no DELETE of responses, Ollama none at all."""

from collections.abc import Awaitable, Callable
from contextlib import suppress

import openai
import structlog

from threadmill_worker.lifecycle.observations import Deleted

log = structlog.get_logger(__name__)

#: What servers answer that do not have a method on a route.
_NO_METHOD = frozenset({405, 501})


def _has_no_method(error: openai.APIStatusError) -> bool:
    """LiteLLM's bridge answers 500: "DELETE responses is not supported for PROVIDER"."""
    is_said = error.status_code == 500 and "not supported" in error.response.text.lower()
    return is_said or error.status_code in _NO_METHOD


class Deletions:
    """For all jobs of a process. What an endpoint turns out not to delete is not tried there again."""

    def __init__(self) -> None:
        self._impossible: set[tuple[str, str]] = set()

    async def once(self, base_url: str, kind: str, delete: Callable[[], Awaitable[object]]) -> Deleted:
        """Deletes a thing of this kind; what is gone, or cannot be deleted there, counts as deleted.

        Raises openai.OpenAIError for what may pass.
        """
        if (base_url, kind) in self._impossible:
            return Deleted()
        try:
            with suppress(openai.NotFoundError):
                await delete()
        except openai.APIStatusError as error:
            if not _has_no_method(error):
                raise
            self._impossible.add((base_url, kind))
            log.warning(
                "the server deletes nothing of this kind", base_url=base_url, kind=kind, status=error.status_code
            )
        return Deleted()
