"""Reads the messages of a thread. For `threadmill threads show`."""

from threadmill.errors import ThreadmillError
from threadmill.settings.settings import Settings
from threadmill_worker.drivers.http.api import Api
from threadmill_worker.drivers.http.client import connect
from threadmill_worker.drivers.transcript import Transcript, read_conversation, read_thread
from threadmill_worker.lifecycle.observations import CallError, Gone

_READERS = {"assistants": read_thread, "responses": read_conversation}


class ThreadUnavailable(ThreadmillError):
    """The server did not show the thread; the text says why."""


async def transcript(settings: Settings, name: str, thread: str, key: str | None = None) -> Transcript | None:
    """Returns the messages of a thread at an endpoint, or None if it is gone.

    `key`: the variable with the key that the thread belongs to; default: the first of the endpoint's. Raises
    ThreadUnavailable, and SettingsError if the endpoint has no key.
    """
    endpoint = settings.endpoints[name]
    if endpoint.wire not in _READERS:
        raise ThreadUnavailable(
            f"the server of endpoint {name!r} keeps no threads; `threadmill threads` lists those kept here"
        )
    settings.require_key(name)
    client = connect(endpoint, key)
    try:
        found = await _READERS[endpoint.wire](Api(client, endpoint), thread)
    finally:
        await client.close()
    if isinstance(found, Gone):
        return None
    if isinstance(found, CallError):
        raise ThreadUnavailable(f"endpoint {name!r}: {found.reason}")
    return found
