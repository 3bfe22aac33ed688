"""`python -m threadmill_worker.admin.transcript ENDPOINT THREAD`: its messages. For `threadmill threads show`."""

import asyncio
import json
import sys
from dataclasses import asdict
from typing import Any

from threadmill.errors import SettingsError
from threadmill.secrets import redaction
from threadmill.settings.settings import Settings
from threadmill_worker.drivers.api import Api
from threadmill_worker.drivers.client import connect
from threadmill_worker.drivers.transcript import read_conversation, read_thread
from threadmill_worker.lifecycle.observations import CallError, Gone

_READERS = {"assistants": read_thread, "responses": read_conversation}


async def transcript(settings: Settings, name: str, thread: str) -> dict[str, Any]:
    """The messages, or `gone`, or `error`."""
    endpoint = settings.endpoints[settings.endpoint_name(name)]
    settings.require_key(name)
    client = connect(endpoint)
    try:
        found = await _READERS[endpoint.wire](Api(client, endpoint), thread)
    finally:
        await client.close()
    if isinstance(found, Gone):
        return {"gone": True, "messages": [], "complete": True}
    if isinstance(found, CallError):
        return {"error": f"endpoint {name!r}: {found.reason}"}
    return {"gone": False, **asdict(found)}


def main() -> int:
    redaction.guard()
    try:
        answer = asyncio.run(transcript(Settings.load(), *sys.argv[1:3]))
    except SettingsError as error:
        answer = {"error": str(error)}
    sys.stdout.write(json.dumps(redaction.redact_all(answer)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
