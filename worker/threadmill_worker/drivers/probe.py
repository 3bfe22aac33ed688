"""Finds out which APIs a server speaks, by requests that create nothing and cost nothing."""

from functools import partial
from typing import Any

import httpx2
import openai

from threadmill.job.result import Failure, FailureKind
from threadmill.secrets.redaction import redact
from threadmill_worker.answer.json_text import parse
from threadmill_worker.drivers.api import Api
from threadmill_worker.drivers.error_bodies import read_error
from threadmill_worker.drivers.errors import NO_PATH, OTHER_WIRE
from threadmill_worker.drivers.json import NotTheApi, as_dict
from threadmill_worker.lifecycle.observations import Deleted, Observation, Rejected

#: Statuses for an invalid request.
_INVALID = frozenset({400, 422})

#: The Assistants API requires this header; other APIs ignore it.
_HEADERS = {"OpenAI-Beta": "assistants=v2"}

#: Characters of a reply that are shown.
_ANSWER_LIMIT = 500

#: The `object` of a reply, by how the path begins.
_OBJECTS = {"/responses": "response", "/threads": "thread", "/chat/completions": "chat.completion"}

#: Ids that no server knows.
_NO_RESPONSE, _NO_THREAD = "resp_none", "thread_none"


async def probe_responses(api: Api) -> Observation:
    """Returns Deleted if the server has the Responses API, else Rejected. Raises openai.OpenAIError: wrong key, outage.

    The first request is for a response that does not exist. Its reply does not decide if the server stores no
    responses, or replies as for any unknown path. The second is a POST without model and input, which the API rejects.
    """
    found, _ = await _has(api, "GET", f"/responses/{_NO_RESPONSE}")
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
    if await _has_quietly(api, "POST", "/responses"):
        return 'this server speaks the Responses API: set kind = "responses"'
    if await _has_quietly(api, "GET", f"/threads/{_NO_THREAD}"):
        return 'this server speaks the Assistants API: set kind = "assistants"'
    if await _has_quietly(api, "POST", "/chat/completions"):
        return 'this server speaks Chat Completions: set kind = "chat"'
    return "this server speaks none of Responses, Assistants and Chat Completions at this base_url: check it"


async def _has_quietly(api: Api, method: str, path: str) -> bool:
    try:
        return (await _has(api, method, path))[0]
    except (openai.OpenAIError, NotTheApi, OSError):
        return False


async def _has(api: Api, method: str, path: str) -> tuple[bool, str]:
    """Returns whether the server has the path, and its reply in short.

    It has the path if it rejects the request as invalid, or says that the id at the end of the path is unknown.
    """
    ask: Any = api.sdk.get if method == "GET" else partial(api.sdk.post, body={})
    try:
        with api.counting():
            reply = await ask(path, cast_to=httpx2.Response, options={"headers": _HEADERS})
    except openai.APIStatusError as error:
        said = read_error(error.response.text).message or error.response.reason_phrase
        answer = f"{error.status_code} {redact(said)}"[:_ANSWER_LIMIT]
        if error.status_code in NO_PATH:
            thing = path.rpartition("/")[2]
            return method == "GET" and thing in said.replace(path, ""), answer
        if error.status_code in _INVALID:
            return True, answer
        raise
    return _is_of(path, reply.text), f"{reply.status_code} {redact(read_error(reply.text).message)}"[:_ANSWER_LIMIT]


def _is_of(path: str, text: str) -> bool:
    """Whether a reply is an object of the path's API. Some servers send the same page or object for every path."""
    try:
        kind = as_dict(parse(text)).get("object")
    except ValueError:
        return False
    return any(path.startswith(start) and kind == _OBJECTS[start] for start in _OBJECTS)
