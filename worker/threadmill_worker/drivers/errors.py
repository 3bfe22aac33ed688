"""What an SDK error means for the job. The only place that knows the servers' error texts.

Sources: platform.openai.com/docs/guides/error-codes; openai-python issues #1023 and #1483.
"""

import re
from collections.abc import Iterator
from dataclasses import replace

import aiohttp
import openai

from threadmill.job.result import Failure, FailureKind
from threadmill.secrets.redaction import redact
from threadmill_worker.drivers.error_bodies import read_error
from threadmill_worker.drivers.json import NotTheApi, UnusableReply
from threadmill_worker.lifecycle.actions import (
    AttachStore,
    CreateThread,
    Download,
    Making,
    NameFile,
    PollStore,
    ReadSteps,
    RemoteAction,
    StartRun,
)
from threadmill_worker.lifecycle.observations import CallError, Gone, NotSent, Rejected, Unknown, Unusable
from threadmill_worker.lifecycle.server_errors import ServerError, asked_delay_s

#: "Can't add messages to thread_X while a run run_Y is active.", "Thread thread_X already has an active run run_Y."
_LOCKED = re.compile(r"while a run (\S+) is active|already has an active run (\w+)?", re.IGNORECASE)

#: How long a server may put us off, in seconds.
_LONGEST_RETRY_AFTER_S = 300.0

_CONVERSATION_LOCKED = "conversation_locked"

#: "Please retry in a few seconds": a response of someone else's runs in the conversation.
_LOCKED_RETRY_S = 2.0

#: Statuses of a request that is refused for want of credit: LiteLLM's is 400.
_OF_A_QUOTA = frozenset({400, 402, 403, 429})

_TEXT_LIMIT = 500

OTHER_WIRE = (
    "; this server does not speak the endpoint's API: check base_url, and whether kind should be "
    '"responses" (OpenAI, Azure v1) or "assistants"; `threadmill doctor` finds out'
)

#: Statuses for a path or a method that the server does not have.
NO_PATH = frozenset({404, 405, 501})

#: A 404 for something that the request names, not for the path: "The model `m` does not exist" (OpenAI,
#: vLLM), "model 'm' not found" (Ollama), DeploymentNotFound (Azure), "No such File object: file-1".
_OF_A_THING = re.compile(
    r"\b(?:model|deployment|assistant|vector.?store|container|prompt)\b|\bfile[-_]\w", re.IGNORECASE
)

#: No connection was had: no such host, refused, no handshake, or none in time.
_NEVER_LEFT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, ConnectionRefusedError)


def call_error_of(error: Exception, action: RemoteAction, *, names_nothing: bool = False) -> CallError:
    """The error of a call as a CallError, without secrets.

    `names_nothing`: the call starts a run, and names no thread or run that could be gone.
    """
    causes = list(_causes(error))
    if unusable := next((cause for cause in causes if isinstance(cause, UnusableReply)), None):
        return Unusable(redact(str(unusable)))
    if isinstance(error, NotTheApi):
        return Unknown(redact(str(error)))
    if isinstance(error, openai.APIStatusError):
        return _by_status(error, action, names_nothing)
    reason = redact(f"{type(causes[-1]).__name__}: {causes[-1]}".removesuffix(": "))[:_TEXT_LIMIT]
    # The aiohttp transport calls a connection that broke after the request was sent a connect timeout,
    # so only an error of the connector itself proves that the request never left.
    if any(isinstance(cause, _NEVER_LEFT) for cause in causes):
        return NotSent(reason)
    return Unknown(reason)


def _by_status(error: openai.APIStatusError, action: RemoteAction, names_nothing: bool) -> CallError:
    status, said = error.status_code, replace(read_error(error.response.text), status=error.status_code)
    message, code = _text(error, said), said.code and redact(said.code)

    def refused(kind: FailureKind) -> Rejected:
        return Rejected(Failure(kind=kind, message=message, code=code))

    if status in _OF_A_QUOTA and said.is_quota:
        return refused(FailureKind.QUOTA)
    if status in (401, 403):
        return refused(FailureKind.UNAUTHORISED)
    if status == 429:
        return NotSent(message, FailureKind.RATE_LIMITED, _retry_after_s(error, said))
    if status in NO_PATH and _is_no_path(action, message, names_nothing):
        hint = OTHER_WIRE if isinstance(action, CreateThread | StartRun) else ""
        return Rejected(Failure(kind=FailureKind.UNSUPPORTED, message=message + hint, code=code))
    if status in (408, 409) or status >= 500:
        return Unknown(message, FailureKind.SERVER_ERROR)
    if status == 404:
        if isinstance(action, PollStore | AttachStore | Download | NameFile | ReadSteps):
            return refused(FailureKind.REJECTED)
        if isinstance(action, StartRun) and (names_nothing or "assistant" in message.lower()):
            return refused(FailureKind.REJECTED)
        return Gone(message)
    if code == _CONVERSATION_LOCKED:  # nothing was made, and it passes
        return NotSent(message, FailureKind.SERVER_ERROR, _LOCKED_RETRY_S)
    if status == 400 and (locked := _LOCKED.search(message)):
        return Unknown(message, FailureKind.REJECTED, locked[1] or locked[2])  # the run that locks it may be ours
    if code == "invalid_prompt":
        return refused(FailureKind.INVALID_PROMPT)
    return refused(FailureKind.REJECTED)


def is_conversation_locked(error: Exception) -> bool:
    """Whether another response is at work in the conversation."""
    return isinstance(error, openai.APIStatusError) and read_error(error.response.text).code == _CONVERSATION_LOCKED


def _is_no_path(action: RemoteAction, message: str, names_nothing: bool) -> bool:
    """Whether the server lacks the path, rather than a thing that the call names."""
    if isinstance(action, Making):
        return True
    if not isinstance(action, StartRun):
        return False
    return "invalid url" in message.lower() or (names_nothing and not _OF_A_THING.search(message))


def _text(error: openai.APIStatusError, said: ServerError) -> str:
    """What the server said, in its own words where it has any."""
    text = said.message or said.code or error.response.reason_phrase
    location = error.response.headers.get("location")
    if location:
        text = f"redirected to {location}: check base_url"
    return f"{error.status_code} {redact(text)}"[:_TEXT_LIMIT]


def _retry_after_s(error: openai.APIStatusError, said: ServerError) -> float | None:
    """Retry-After in seconds (RFC 9110 10.2.3), else what the text asks for; bounded. A date or junk is passed over."""
    headers = error.response.headers
    for name, unit in (("retry-after-ms", 1000), ("retry-after", 1)):
        try:
            seconds = float(headers[name]) / unit
        except (KeyError, ValueError):
            continue
        if seconds > 0:
            return min(seconds, _LONGEST_RETRY_AFTER_S)
    asked_s = asked_delay_s(said.message)
    return min(asked_s, _LONGEST_RETRY_AFTER_S) if asked_s else None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what caused it, down to the root."""
    while (cause := error.__cause__ or error.__context__) is not None:
        yield error
        error = cause
    yield error
