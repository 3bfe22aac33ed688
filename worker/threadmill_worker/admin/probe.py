"""Checks that an endpoint accepts its keys and speaks its API. For `threadmill doctor`."""

import asyncio

from threadmill.errors import ThreadmillError
from threadmill.job.result import FailureKind
from threadmill.settings.settings import Settings
from threadmill_worker.attempt.context.contexts import Contexts
from threadmill_worker.attempt.context.not_served import NotServed
from threadmill_worker.lifecycle.observations import Deleted, Rejected
from threadmill_worker.live.publisher import EventPublisher
from threadmill_worker.store.jobs import JobStore
from threadmill_worker.tools.registry import ToolRegistry

#: Remedies for failures whose message names none.
_REMEDIES = {FailureKind.UNAUTHORISED: "; check the key", FailureKind.UNSUPPORTED: ""}


class EndpointUnusable(ThreadmillError):
    """The text says why, and what to check."""


async def probe(settings: Settings, name: str) -> str:
    """Calls the endpoint as a worker does. Returns what was found; raises EndpointUnusable."""
    job_store = JobStore(settings, "probe")
    contexts = Contexts(settings, ToolRegistry(), job_store, EventPublisher(job_store.publish, job_store.is_followed))
    endpoint = settings.endpoints[name]
    try:
        if endpoint.first_key is None:
            await _probe(contexts, name, None, "")
            return f"{endpoint.base_url} takes the key and speaks the {endpoint.wire} API"
        for key in endpoint.key_variables:
            await _probe(contexts, name, key, f" to the key in {key}")
        return f"{endpoint.base_url} takes the {len(endpoint.key_variables)} keys and speaks the {endpoint.wire} API"
    except NotServed as error:
        raise EndpointUnusable(str(error)) from None
    finally:
        await contexts.close()


async def _probe(contexts: Contexts, name: str, key: str | None, to: str) -> None:
    """Checks one key. `to`: names it in messages, if there are several."""
    connection = contexts.connection(name, key)
    endpoint = connection.endpoint
    base_url, limit_s = endpoint.base_url, endpoint.connect_timeout_s + endpoint.request_timeout_s
    try:
        async with asyncio.timeout(limit_s):  # a server that sends a byte now and then never lets a read time out
            found = await contexts.remote_objects(name, key).probe()
    except TimeoutError:
        raise EndpointUnusable(f"{base_url} gave no complete reply{to} in {limit_s:g} s") from None
    match found:
        case Deleted():
            return
        case Rejected(failure):
            remedy = _REMEDIES.get(failure.kind, "; see the server")
            raise EndpointUnusable(f"{base_url} answered{to}: {failure.message}{remedy}")
        case _:
            raise EndpointUnusable(f"{base_url} gave no usable reply{to}: {getattr(found, 'reason', found)}")
