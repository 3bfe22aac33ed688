"""Finds out which APIs a server speaks, by requests that create nothing and cost nothing."""

from functools import partial
from typing import Any

import httpx2
import openai

from threadmill.job.result import Failure, FailureKind
from threadmill.secrets.redaction import redact
from threadmill_worker.drivers.http.api import Api
from threadmill_worker.drivers.replies.error_bodies import read_error
from threadmill_worker.drivers.replies.errors import OTHER_WIRE
from threadmill_worker.drivers.replies.json import NotTheApi
from threadmill_worker.drivers.replies.paths import has_path
from threadmill_worker.lifecycle.observations import Deleted, Observation, Rejected

#: The Assistants API requires this header; other APIs ignore it.
_HEADERS = {"OpenAI-Beta": "assistants=v2"}

#: Characters of a reply that are shown.
_ANSWER_LIMIT = 500

#: Paths with ids that no server knows.
NO_RESPONSE, NO_THREAD = "/responses/resp_none", "/threads/thread_none"

#: By kind of an endpoint: the API, and the requests that show whether a server has it.
_APIS = (
    ("responses", "the Responses API", ("POST", "/responses")),
    ("assistants", "the Assistants API", ("GET", NO_THREAD)),
    ("chat", "Chat Completions", ("POST", "/chat/completions")),
)


async def probe_responses(api: Api) -> Observation:
    """Returns Deleted if the server has the Responses API, else Rejected. Raises openai.OpenAIError: wrong key, outage.

    The first request is for a response that does not exist. Its reply does not decide if the server stores no
    responses, or replies as for any unknown path. The second is a POST without model and input, which the API rejects.
    """
    found, _ = await _has(api, "GET", NO_RESPONSE)
    if found:
        return Deleted()
    found, said = await _has(api, "POST", "/responses")
    return Deleted() if found else Rejected(Failure(kind=FailureKind.UNSUPPORTED, message=said))


async def probe_chat(api: Api) -> Observation:
    """Returns Deleted if the server has Chat Completions, else Rejected. Raises openai.OpenAIError.

    The request is a POST without model and messages, which servers reject.
    """
    found, said = await _has(api, "POST", "/chat/completions")
    return Deleted() if found else Rejected(Failure(kind=FailureKind.UNSUPPORTED, message=said))


async def with_spoken_api(api: Api, refused: Rejected) -> Rejected:
    """Returns the same failure. Its message also names the API that the server speaks, and the remedy."""
    message = f"{refused.failure.message.removesuffix(OTHER_WIRE)}; {await _spoken_api(api)}"
    return Rejected(refused.failure.model_copy(update={"message": message}))


async def _spoken_api(api: Api) -> str:
    for kind, name, (method, path) in _APIS:
        if await _has_quietly(api, method, path):
            return f'this server speaks {name}: set kind = "{kind}"'
    return "this server speaks none of Responses, Assistants and Chat Completions at this base_url: check it"


async def _has_quietly(api: Api, method: str, path: str) -> bool:
    try:
        return (await _has(api, method, path))[0]
    except (openai.OpenAIError, NotTheApi, OSError):
        return False


async def _has(api: Api, method: str, path: str) -> tuple[bool, str]:
    """Returns whether the server has the path, and its reply in short."""
    ask: Any = api.sdk.get if method == "GET" else partial(api.sdk.post, body={})
    try:
        with api.counting():
            reply = await ask(path, cast_to=httpx2.Response, options={"headers": _HEADERS})
    except openai.APIStatusError as error:
        reply = error.response
        found = has_path(method, path, reply.status_code, reply.text)
        if found is None or reply.is_redirect:
            raise
    else:
        found = has_path(method, path, reply.status_code, reply.text)
    said = read_error(reply.text).message or reply.reason_phrase
    return bool(found), f"{reply.status_code} {redact(said)}"[:_ANSWER_LIMIT]
