"""Classifies errors of the SDK. The only module that knows the servers' error texts.

Sources: platform.openai.com/docs/guides/error-codes; openai-python issues #1023 and #1483.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from enum import Enum, auto

import aiohttp
import openai

from threadmill.job.result import Failure, FailureKind
from threadmill.secrets.redaction import redact
from threadmill_worker.drivers.replies.error_bodies import read_error
from threadmill_worker.drivers.replies.json import NotTheApi, UnusableReply
from threadmill_worker.drivers.replies.rate_limits import read_retry_after_s
from threadmill_worker.lifecycle.observations import CallError, Gone, NotSent, Rejected, Unknown, Unusable
from threadmill_worker.lifecycle.server_errors import TOO_LARGE_REMEDY, ServerError, asked_delay_s

#: The exceptions of a call, for `call_error_of`.
CALL_ERRORS = (openai.OpenAIError, NotTheApi, OSError)

#: "Can't add messages to thread_X while a run run_Y is active.", "Thread thread_X already has an active run run_Y."
_LOCKED = re.compile(r"while a run (\S+) is active|already has an active run (\w+)?", re.IGNORECASE)

#: The longest delay that a server can ask for, in seconds.
_LONGEST_RETRY_AFTER_S = 300.0

_CONVERSATION_LOCKED = "conversation_locked"

#: "Please retry in a few seconds": another response is being made in the conversation.
_LOCKED_RETRY_S = 2.0

#: Statuses of a request that is rejected for lack of credit; 400 is LiteLLM's.
_OF_A_QUOTA = frozenset({400, 402, 403, 429})

_TEXT_LIMIT = 500

OTHER_WIRE = (
    "; this server does not speak the endpoint's API: check base_url, and whether kind should be "
    '"responses" (OpenAI, Azure v1), "assistants" or "chat"; `threadmill doctor` finds out'
)

#: Statuses for a path or a method that the server does not have.
NO_PATH = frozenset({404, 405, 501})

#: Cloudflare's statuses for a server to which it could make no connection, so that it forwarded nothing (its page
#: cloudflare-5xx-errors). 520, 522 and 524 may come after it has forwarded the request.
_NOT_FORWARDED = frozenset({521, 523, 525, 526})

#: Names in the text of a 404 that is about something in the request, not about the path: "The model `m` does not exist"
#: (OpenAI, vLLM), "model 'm' not found" (Ollama), DeploymentNotFound (Azure), "No such File object: file-1".
_OF_A_THING = re.compile(
    r"\b(?:model|deployment|assistant|vector.?store|container|prompt)\b|\bfile[-_]\w", re.IGNORECASE
)

#: Errors without a connection: the host is unknown, or the connection was refused or not made in time.
_NEVER_SENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, ConnectionRefusedError)


class Target(Enum):
    """What the path of a request names, and so what a 404 means."""

    OBJECT = auto()  #: a thread or a run; 404: it no longer exists
    DETAIL = auto()  #: a file, a vector store, or the steps of a run; 404: the call is rejected
    COLLECTION = auto()  #: a list in which the call creates an object; 404: the server does not have the path
    THREADS = auto()  #: the list of threads or assistants; 404: the server does not speak the endpoint's API
    RUNS = auto()  #: the runs of a thread, or responses that continue from an object; 404: it no longer exists
    FIRST_RUN = auto()  #: responses, for a request that continues from nothing


def call_error_of(error: Exception, target: Target) -> CallError:
    """Returns the error of a call as a CallError, without secrets."""
    causes = list(_causes(error))
    if unusable := next((cause for cause in causes if isinstance(cause, UnusableReply)), None):
        return Unusable(redact(str(unusable)))
    if isinstance(error, NotTheApi):
        return Unknown(redact(str(error)))
    if isinstance(error, openai.APIStatusError):
        return _by_status(error, target)
    reason = redact(f"{type(causes[-1]).__name__}: {causes[-1]}".removesuffix(": "))[:_TEXT_LIMIT]
    # The aiohttp transport reports a connection that broke after the request was sent as a connect timeout,
    # so only an error of the connector itself proves that the request was never sent.
    if any(isinstance(cause, _NEVER_SENT) for cause in causes):
        return NotSent(reason)
    return Unknown(reason)


def is_conversation_locked(error: Exception) -> bool:
    """Whether another response is being made in the conversation."""
    return isinstance(error, openai.APIStatusError) and read_error(error.response.text).code == _CONVERSATION_LOCKED


def _by_status(error: openai.APIStatusError, target: Target) -> CallError:
    status = error.status_code
    said = replace(read_error(error.response.text), status=status)
    message, code = _text(error, said), said.code and redact(said.code)
    kind = _kind_of_rejection(said)
    if status in NO_PATH and _lacks_path(target, message):
        kind = FailureKind.UNSUPPORTED
        message += "" if target is Target.COLLECTION else OTHER_WIRE
    elif kind not in (FailureKind.QUOTA, FailureKind.UNAUTHORISED):
        if status == 429 and not said.is_too_large:
            return NotSent(message, FailureKind.RATE_LIMITED, _retry_after_s(error, said))
        if status in (408, 409) or status >= 500:
            return _server_error(error, said, message)
        if status == 404 and _is_gone(target, message):
            return Gone(message)
        if code == _CONVERSATION_LOCKED:  # nothing was created, and another try may succeed
            return NotSent(message, FailureKind.SERVER_ERROR, _LOCKED_RETRY_S)
        if status == 400 and (locked := _LOCKED.search(message)):
            return Unknown(message, FailureKind.REJECTED, locked[1] or locked[2])  # the run may be the job's own
    if said.is_too_large:
        message += TOO_LARGE_REMEDY
    return Rejected(Failure(kind=kind, message=message, code=code))


def _server_error(error: openai.APIStatusError, said: ServerError, message: str) -> NotSent | Unknown:
    """Returns NotSent only if it is certain that the request had no effect: a run must not start twice."""
    retry_after_s = _retry_after_s(error, said)
    if said.refuses_for_overload:
        return NotSent(message, FailureKind.SERVER_ERROR, retry_after_s, overloaded=True)
    if said.status in _NOT_FORWARDED and error.response.headers.get("server", "").lower() == "cloudflare":
        return NotSent(message, FailureKind.UNREACHABLE, retry_after_s)
    return Unknown(message, FailureKind.SERVER_ERROR, overloaded=said.is_overload, retry_after_s=retry_after_s)


def _kind_of_rejection(said: ServerError) -> FailureKind:
    if said.status in _OF_A_QUOTA and said.is_quota:
        return FailureKind.QUOTA
    if said.status in (401, 403):
        return FailureKind.UNAUTHORISED
    return FailureKind.INVALID_PROMPT if said.code == "invalid_prompt" else FailureKind.REJECTED


def _lacks_path(target: Target, message: str) -> bool:
    """Whether the server lacks the path, rather than something that the request names."""
    if target in (Target.RUNS, Target.FIRST_RUN) and "invalid url" in message.lower():
        return True
    if target is Target.FIRST_RUN:
        return not _OF_A_THING.search(message)
    return target in (Target.COLLECTION, Target.THREADS)


def _is_gone(target: Target, message: str) -> bool:
    return target is Target.OBJECT or (target is Target.RUNS and "assistant" not in message.lower())


def _text(error: openai.APIStatusError, said: ServerError) -> str:
    """Returns the status and the server's message."""
    text = said.message or said.code or error.response.reason_phrase
    location = error.response.headers.get("location")
    if location:
        text = f"redirected to {location}: check base_url"
    return f"{error.status_code} {redact(text)}"[:_TEXT_LIMIT]


def _retry_after_s(error: openai.APIStatusError, said: ServerError) -> float | None:
    """Returns the delay that the headers or the text ask for, in seconds."""
    asked_s = read_retry_after_s(error.response.headers) or asked_delay_s(said.message)
    return min(asked_s, _LONGEST_RETRY_AFTER_S) if asked_s else None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yields the error and its causes, down to the root."""
    while (cause := error.__cause__ or error.__context__) is not None:
        yield error
        error = cause
    yield error
