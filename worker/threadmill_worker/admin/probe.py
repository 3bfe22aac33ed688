"""Checks that an endpoint accepts its key and speaks its API. For `threadmill doctor`."""

import asyncio

from threadmill.errors import ThreadmillError
from threadmill.job.result import FailureKind
from threadmill.settings.settings import Settings
from threadmill_worker.attempt.context import Contexts
from threadmill_worker.attempt.not_served import NotServed
from threadmill_worker.lifecycle.observations import Deleted, Rejected
from threadmill_worker.live import EventPublisher
from threadmill_worker.store.jobs import JobStore
from threadmill_worker.tools.registry import ToolRegistry

#: Remedies for failures whose message names none.
_REMEDIES = {FailureKind.UNAUTHORISED: "; check the key", FailureKind.UNSUPPORTED: ""}


class EndpointUnusable(ThreadmillError):
    """The text says why, and what to check."""


async def probe(settings: Settings, name: str) -> str:
    """Calls the endpoint as a worker does. Returns what was found; raises EndpointUnusable."""
    job_store = JobStore(settings, "probe", send=lambda job_id: None)
    contexts = Contexts(settings, ToolRegistry(), job_store, EventPublisher(job_store.publish))
    endpoint = settings.endpoints[name]
    base_url, limit_s = endpoint.base_url, endpoint.connect_timeout_s + endpoint.request_timeout_s
    try:
        objects = contexts.remote_objects(name)
        async with asyncio.timeout(limit_s):  # a server that sends a byte now and then never lets a read time out
            found = await objects.probe()
    except NotServed as error:
        raise EndpointUnusable(str(error)) from None
    except TimeoutError:
        raise EndpointUnusable(f"{base_url} gave no complete reply in {limit_s:g} s") from None
    finally:
        await contexts.close()
    match found:
        case Deleted():
            return f"{base_url} takes the key and speaks the {endpoint.wire} API"
        case Rejected(failure):
            remedy = _REMEDIES.get(failure.kind, "; see the server")
            raise EndpointUnusable(f"{base_url} answered: {failure.message}{remedy}")
        case _:
            raise EndpointUnusable(f"{base_url} gave no usable reply: {getattr(found, 'reason', found)}")
