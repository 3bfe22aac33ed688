"""`python -m threadmill_worker.admin.probe ENDPOINT`: does it take our key and speak its API? For `doctor`."""

import asyncio
import json
import sys

from threadmill.errors import SettingsError
from threadmill.job.result import FailureKind
from threadmill.secrets import redaction
from threadmill.settings.settings import Settings
from threadmill_worker.attempt.context import Contexts
from threadmill_worker.attempt.not_served import NotServed
from threadmill_worker.lifecycle.observations import Deleted, Rejected
from threadmill_worker.live import EventPublisher
from threadmill_worker.store.jobs import Ledger
from threadmill_worker.tools.registry import ToolRegistry

#: What to do where the message does not say.
_REMEDIES = {FailureKind.UNAUTHORISED: "; check the key", FailureKind.UNSUPPORTED: ""}


async def probe(settings: Settings, name: str) -> tuple[bool, str]:
    """Whether it does, and what was found."""
    ledger = Ledger(settings, "probe", send=lambda job_id: None)
    servers = Contexts(settings, ToolRegistry(), ledger, EventPublisher(ledger.publish))
    try:
        objects = servers.remote_objects(name)
    except NotServed as error:
        return False, str(error)
    endpoint = settings.endpoints[name]
    base_url, limit_s = endpoint.base_url, endpoint.connect_timeout_s + endpoint.request_timeout_s
    try:
        async with asyncio.timeout(limit_s):  # a server that sends a byte now and then never lets a read time out
            view = await objects.probe()
    except TimeoutError:
        return False, f"{base_url} gave no complete reply in {limit_s:g} s"
    finally:
        await servers.close()
    match view:
        case Deleted():
            return True, f"{base_url} takes the key and speaks the {endpoint.wire} API"
        case Rejected(failure):
            return False, f"{base_url} answered: {failure.message}{_REMEDIES.get(failure.kind, '; see the server')}"
        case _:
            return False, f"{base_url} gave no usable reply: {getattr(view, 'reason', view)}"


def main() -> int:
    redaction.guard()
    try:
        settings = Settings.load()
        ok, detail = asyncio.run(probe(settings, settings.endpoint_name(sys.argv[1])))
    except SettingsError as error:
        ok, detail = False, str(error)
    sys.stdout.write(json.dumps(redaction.redact_all({"ok": ok, "detail": detail})))
    return 0


if __name__ == "__main__":
    sys.exit(main())
