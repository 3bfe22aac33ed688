"""`python -m threadmill_worker.admin.assistants VERB ENDPOINT ...`: a server's assistants. For `threadmill assistants`.

list, show ID, delete ID...; compare and apply take from stdin a list of orders: {name, profile, id, digest}, the
last two as of the last time it was applied, or null. The answer is JSON.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Sequence
from typing import Any

from threadmill.errors import SettingsError, ThreadmillError
from threadmill.job.result import FailureKind
from threadmill.secrets import redaction
from threadmill.settings.endpoint import Endpoint
from threadmill.settings.profile import Profile
from threadmill.settings.settings import Settings
from threadmill.settings.tools import server_of
from threadmill_worker.drivers.api import Api
from threadmill_worker.drivers.assistants.definition import body_of, changes, digest, said, shown, unknown, wanted
from threadmill_worker.drivers.assistants.provisioning import Provisioning, Troubled
from threadmill_worker.drivers.client import connect
from threadmill_worker.drivers.tags import profile_of
from threadmill_worker.lifecycle.observations import Rejected
from threadmill_worker.tools import registry
from threadmill_worker.tools.tool import ToolsAway


async def answer(settings: Settings, verb: str, name: str, ids: Sequence[str], orders: Sequence[Any]) -> Any:
    """Raises SettingsError, and Troubled for what concerns the whole question."""
    endpoint = settings.endpoints[settings.endpoint_name(name)]
    settings.require_key(name)
    client = connect(endpoint)
    server = Provisioning(Api(client, endpoint))
    try:
        match verb:
            case "list":
                return [_described(each) for each in await server.list()]
            case "show":
                found = await server.get(ids[0])
                return found and _described(found)
            case "delete":
                return {each: await _tried(_delete(server, each), endpoint) for each in ids}
            case _:
                profiles = [Profile.model_validate(spec["profile"]) for spec in orders]
                definitions = await _definitions(settings, profiles)
                pairs = zip(orders, definitions, strict=True)
                if verb == "compare":
                    return [await _provide(server, spec, asked, act=False) for spec, asked in pairs]
                return [
                    {"name": spec["name"], "id": spec["id"]}
                    | await _tried(_provide(server, spec, asked, act=True), endpoint)
                    for spec, asked in pairs
                ]
    finally:
        await client.close()


async def _definitions(settings: Settings, profiles: Sequence[Profile]) -> list[dict[str, Any]]:
    """The profiles with their tools' names expanded; raises ThreadmillError for a name that is not known."""
    named = {tool for profile in profiles for tool in profile.tools if isinstance(tool, str)}
    for tool in sorted(named):
        settings.check_tool(tool)
    servers = {server_of(tool, settings.mcp) for tool in named}
    needed = {
        "tools": {name: tool for name, tool in settings.tools.items() if name in named},
        "mcp": {name: server for name, server in settings.mcp.items() if name in servers},
    }
    tools = registry.load(settings.model_copy(update=needed))
    try:
        return [wanted(profile, await tools.definitions(profile.tools)) for profile in profiles]
    except KeyError as error:
        raise SettingsError(f"the MCP server has no tool {error}; `threadmill tools` lists those there are") from None
    except ToolsAway as error:
        raise SettingsError(str(error)) from None
    finally:
        await tools.close()


async def _provide(server: Provisioning, spec: Any, asked: dict[str, Any], *, act: bool) -> dict[str, Any]:
    """What it takes to make the assistant what is asked for; `act`: and does it."""
    name, known = spec["name"], spec["id"] and await server.get(spec["id"])
    there = known or await server.made_from(name)
    applied = there is known and spec["digest"] == digest(asked)
    changed = changes(shown(there or {}), asked, applied=applied)
    outcome = "created" if there is None else "updated" if changed else "unchanged"
    if act and there is None:
        there = await server.create(name, body_of(changed))
    elif act and there is not None and changed:
        await server.update(there["id"], name, body_of(changed) | {"metadata": asked["metadata"]})
    return {
        "name": name,
        "id": there and there["id"],
        "outcome": outcome,
        "changes": changed,
        "digest": digest(asked),
        "lost": spec["id"] if spec["id"] and not known else None,  # the id it had, gone on the server
        "found": bool(there and not known and outcome != "created"),  # by its mark, not by its id
    }


async def _delete(server: Provisioning, assistant_id: str) -> dict[str, Any]:
    return {"outcome": "deleted" if await server.delete(assistant_id) else "gone already"}


async def _tried(doing: Awaitable[dict[str, Any]], endpoint: Endpoint) -> dict[str, Any]:
    """One of several: what happened to it, or its error. The others go on."""
    try:
        return await doing
    except Troubled as error:
        return {"failure": _explained(error, endpoint)}


def _described(assistant: dict[str, Any]) -> dict[str, Any]:
    """As a profile, with what a profile has no field for."""
    moment = assistant.get("created_at")
    return {
        "id": assistant["id"],
        "created_at": moment if isinstance(moment, int | float) else None,
        "made_from": profile_of(assistant),
        "profile": said(shown(assistant)),
        "unknown": unknown(assistant),
    }


def _explained(error: Troubled, endpoint: Endpoint) -> str:
    kind = error.trouble.failure.kind if isinstance(error.trouble, Rejected) else None
    if kind is FailureKind.UNAUTHORISED:
        return f"{error}; check the key in {endpoint.api_key_env}"
    if kind is FailureKind.UNSUPPORTED:
        return f"{error}; this server has no assistants: check base_url ({endpoint.base_url})"
    if kind is None:
        return f"{error}; is the server up? check base_url ({endpoint.base_url})"
    return str(error)


def main() -> int:
    redaction.guard()
    verb, name, *ids = sys.argv[1:]
    found: Any
    try:
        settings = Settings.load()
        orders = json.load(sys.stdin) if verb in ("compare", "apply") else []
        found = asyncio.run(answer(settings, verb, name, ids, orders))
    except ThreadmillError as error:
        found = {"error": str(error)}
    except Troubled as error:
        found = {"error": f"endpoint {name!r}: {_explained(error, settings.endpoints[name])}"}
    sys.stdout.write(json.dumps(redaction.redact_all(found)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
