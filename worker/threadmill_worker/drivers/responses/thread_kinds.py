"""What a thread is that was not kept here: the server is asked, as its id need not tell."""

from collections.abc import Awaitable, Callable
from typing import Any

import openai

from threadmill.store.remote_records import ThreadKind
from threadmill_worker.drivers.api import Api
from threadmill_worker.drivers.errors import CALL_ERRORS, NO_PATH, Target, call_error_of
from threadmill_worker.lifecycle.observations import CallError, Gone, NotSent, Unknown

#: Statuses of a server that has no such thing, or nothing of its kind.
_UNKNOWN = NO_PATH | {400}

#: How the ids of OpenAI's conversations begin. It decides only what is asked for first.
_CONVERSATION = "conv"


async def find_kind(api: Api, thread: str) -> ThreadKind | CallError:
    """Gone: the server shows neither a conversation nor a response of this id, so it cannot continue from one."""
    client = api.client
    reads: list[tuple[ThreadKind, Callable[[str], Awaitable[Any]]]] = [
        ("chain", client.responses.with_raw_response.retrieve),
        ("conversation", client.conversations.with_raw_response.retrieve),
    ]
    for kind, read in reversed(reads) if thread.startswith(_CONVERSATION) else reads:
        try:
            await api.call(read(thread))
        except openai.APIStatusError as error:
            if error.status_code not in _UNKNOWN:
                return _retryable(call_error_of(error, Target.OBJECT))
        except CALL_ERRORS as error:
            return _retryable(call_error_of(error, Target.OBJECT))
        else:
            return kind
    return Gone(f"the server has neither a conversation nor a response {thread}")


def _retryable(trouble: CallError) -> CallError:
    """Nothing was made: a read that failed leaves no doubt."""
    return NotSent(trouble.reason, trouble.kind) if isinstance(trouble, Unknown) else trouble
