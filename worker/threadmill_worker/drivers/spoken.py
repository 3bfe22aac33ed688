"""Which APIs a server speaks, found out by requests that make nothing and cost nothing."""

from functools import partial
from typing import Any

import httpx2
import openai

from threadmill.redaction import redact
from threadmill.result import Failure, FailureKind
from threadmill_worker.drivers.api import Api
from threadmill_worker.drivers.assistants_wire import NotTheApi, as_dict
from threadmill_worker.drivers.error_bodies import read_error
from threadmill_worker.drivers.troubles import NO_PATH, OTHER_WIRE
from threadmill_worker.json_text import parse
from threadmill_worker.views import Deleted, Refused, View

#: Statuses by which a server finds fault with a request.
_FAULTS = frozenset({400, 422})

#: The Assistants API wants this one, and no other API minds it.
_HEADERS = {"OpenAI-Beta": "assistants=v2"}

#: Characters of an answer that are shown.
_ANSWER_LIMIT = 500

#: Ids that no server knows.
_NO_RESPONSE, _NO_THREAD = "resp_none", "thread_none"


async def probe_responses(api: Api) -> View:
    """Deleted if the server has the Responses API. Raises openai.OpenAIError for a wrong key, and for other trouble.

    A response that there is none of is asked for first. Servers that keep none have no such path, or answer as for any
    path: what tells then is what they say to a request without a model and an input.
    """
    found, _ = await _has(api, "GET", f"/responses/{_NO_RESPONSE}")
    if found:
        return Deleted()
    found, said = await _has(api, "POST", "/responses")
    return Deleted() if found else Refused(Failure(kind=FailureKind.UNSUPPORTED, message=said))


async def with_what_it_speaks(api: Api, refused: Refused) -> Refused:
    """The same failure, which also says how to use what the server does speak."""
    message = f"{refused.failure.message.removesuffix(OTHER_WIRE)}; {await _what_it_speaks(api)}"
    return Refused(refused.failure.model_copy(update={"message": message}))


async def _what_it_speaks(api: Api) -> str:
    if await _has_quietly(api, "POST", "/responses"):
        return 'this server speaks the Responses API: set kind = "responses"'
    if await _has_quietly(api, "GET", f"/threads/{_NO_THREAD}"):
        return 'this server speaks the Assistants API: set kind = "assistants"'
    if await _has_quietly(api, "POST", "/chat/completions"):
        return (
            "this server speaks Chat Completions alone, which threadmill cannot use: put a gateway that offers the "
            "Responses API before it, such as LiteLLM or OGX"
        )
    return "this server speaks none of Responses, Assistants and Chat Completions at this base_url: check it"


async def _has_quietly(api: Api, method: str, path: str) -> bool:
    try:
        return (await _has(api, method, path))[0]
    except (openai.OpenAIError, NotTheApi, OSError):
        return False


async def _has(api: Api, method: str, path: str) -> tuple[bool, str]:
    """Whether the server has this path, and its answer in short.

    It does if it finds fault with the request, or does not know the id at the end of the path.
    """
    api.calls += 1
    ask: Any = api.client.get if method == "GET" else partial(api.client.post, body={})
    try:
        reply = await ask(path, cast_to=httpx2.Response, options={"headers": _HEADERS})
    except openai.APIStatusError as error:
        said = read_error(error.response.text).message or error.response.reason_phrase
        answer = f"{error.status_code} {redact(said)}"[:_ANSWER_LIMIT]
        if error.status_code in NO_PATH:
            thing = path.rpartition("/")[2]
            return method == "GET" and thing in said.replace(path, ""), answer
        if error.status_code in _FAULTS:
            return True, answer
        raise
    return _is_object(reply.text), f"{reply.status_code} {redact(read_error(reply.text).message)}"[:_ANSWER_LIMIT]


def _is_object(text: str) -> bool:
    """Whether a reply is an object of the API: some servers answer any path with their start page."""
    try:
        return isinstance(as_dict(parse(text)).get("id"), str)
    except ValueError:
        return False
