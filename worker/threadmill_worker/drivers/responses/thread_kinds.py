"""Finds out whether a thread that no earlier job kept is a conversation or a chain of responses."""

import openai

from threadmill.store.records.remote import ThreadKind
from threadmill_worker.drivers.http.api import Api
from threadmill_worker.drivers.replies.errors import CALL_ERRORS, NO_PATH, Target, call_error_of
from threadmill_worker.lifecycle.observations import CallError, Gone, NotSent, Unknown

#: Statuses for an object or a path that the server does not have.
_UNKNOWN = NO_PATH | {400}

#: The prefix of the ids of OpenAI's conversations. It decides only which is tried first.
_CONVERSATION = "conv"


async def find_kind(api: Api, thread: str) -> ThreadKind | CallError:
    """Returns the kind of a thread; Gone if the server has neither a conversation nor a response of this id."""
    reads: list[tuple[ThreadKind, str]] = [("chain", "responses"), ("conversation", "conversations")]
    for kind, objects in reversed(reads) if thread.startswith(_CONVERSATION) else reads:
        try:
            await api.call(api.http.get(objects, thread))
        except openai.APIStatusError as error:
            if error.status_code not in _UNKNOWN:
                return _retryable(call_error_of(error, Target.OBJECT))
        except CALL_ERRORS as error:
            return _retryable(call_error_of(error, Target.OBJECT))
        else:
            return kind
    return Gone(f"the server has neither a conversation nor a response {thread}")


def _retryable(trouble: CallError) -> CallError:
    """Returns the error of a failed read as one that had no effect."""
    if not isinstance(trouble, Unknown):
        return trouble
    return NotSent(trouble.reason, trouble.kind, trouble.retry_after_s, overloaded=trouble.overloaded)
