"""The assistants of a server. For `threadmill assistants`."""

from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from threadmill.errors import SettingsError, ThreadmillError
from threadmill.job.result import FailureKind
from threadmill.settings.endpoints.endpoint import Endpoint
from threadmill.settings.profile import Profile
from threadmill.settings.settings import Settings
from threadmill.settings.tools import server_of
from threadmill_worker.drivers.assistants.definition import (
    Changes,
    body_of,
    changes,
    digest,
    said,
    shown,
    unknown,
    wanted,
)
from threadmill_worker.drivers.assistants.provisioning import CallFailed, Provisioning
from threadmill_worker.drivers.http.api import Api
from threadmill_worker.drivers.http.client import connect
from threadmill_worker.drivers.requests.tags import profile_of
from threadmill_worker.lifecycle.observations import Rejected
from threadmill_worker.tools import registry
from threadmill_worker.tools.tool import ToolsUnavailable

_T = TypeVar("_T")


class AssistantsUnavailable(ThreadmillError):
    """A request to the server failed. The text says why, and what to check."""


@dataclass(frozen=True)
class RemoteAssistant:
    """An assistant on its server."""

    id: str
    created_at: float | None  #: seconds since 1970, UTC
    made_from: str | None  #: the profile that its tag names
    profile: dict[str, Any]  #: its fields in the form of a profile
    unknown: dict[str, Any]  #: the fields that profiles do not have


@dataclass(frozen=True)
class ProfileRequest:
    """A profile to apply, with the id and the digest that were stored when it was last applied."""

    name: str
    profile: Profile
    id: str | None = None
    digest: str | None = None


@dataclass(frozen=True)
class Provision:
    """The changes that applying a profile makes, or has made."""

    name: str
    id: str | None  #: None: the assistant is not created yet
    outcome: str | None = None  #: created, updated or unchanged; None if it failed
    changes: Changes | None = None
    digest: str | None = None
    lost: str | None = None  #: the stored id, if the server does not have it any more
    found: bool = False  #: the assistant was found by its tag, not by its id
    failure: str | None = None


@dataclass(frozen=True)
class Deletion:
    """The result of deleting an assistant. Exactly one of the fields is set."""

    outcome: str | None = None  #: deleted, or gone already
    failure: str | None = None


async def list_assistants(settings: Settings, name: str) -> list[RemoteAssistant]:
    """Returns the assistants of an endpoint. Raises AssistantsUnavailable, SettingsError."""
    async with _server(settings, name) as server:
        return [_described(each) for each in await server.list()]


async def get_assistant(settings: Settings, name: str, assistant_id: str) -> RemoteAssistant | None:
    """Returns an assistant, or None if there is none of this id. Raises AssistantsUnavailable, SettingsError."""
    async with _server(settings, name) as server:
        found = await server.get(assistant_id)
        return _described(found) if found else None


async def delete_assistants(settings: Settings, name: str, ids: Sequence[str]) -> dict[str, Deletion]:
    """Deletes assistants; one that cannot be deleted does not stop the others. Raises SettingsError."""
    async with _server(settings, name) as server:
        outcomes = {}
        for assistant_id in ids:
            deleted = await _attempted(server.delete(assistant_id), settings.endpoints[name])
            outcomes[assistant_id] = (
                Deletion(failure=deleted)
                if isinstance(deleted, str)
                else Deletion("deleted" if deleted else "gone already")
            )
        return outcomes


async def compare_profiles(settings: Settings, name: str, requests: Sequence[ProfileRequest]) -> list[Provision]:
    """Returns what applying the profiles would change. Raises AssistantsUnavailable, SettingsError."""
    async with _server(settings, name) as server:
        definitions = await _definitions(settings, [request.profile for request in requests])
        pairs = zip(requests, definitions, strict=True)
        return [await _provide(server, request, definition, dry_run=True) for request, definition in pairs]


async def apply_profiles(settings: Settings, name: str, requests: Sequence[ProfileRequest]) -> list[Provision]:
    """Creates or updates the assistants; one that fails does not stop the others. Raises SettingsError."""
    async with _server(settings, name) as server:
        definitions = await _definitions(settings, [request.profile for request in requests])
        applied = []
        for request, definition in zip(requests, definitions, strict=True):
            outcome = await _attempted(_provide(server, request, definition, dry_run=False), settings.endpoints[name])
            applied.append(
                Provision(request.name, request.id, failure=outcome) if isinstance(outcome, str) else outcome
            )
        return applied


@asynccontextmanager
async def _server(settings: Settings, name: str) -> AsyncIterator[Provisioning]:
    endpoint = settings.endpoints[name]
    settings.require_key(name)
    client = connect(endpoint)
    try:
        yield Provisioning(Api(client, endpoint))
    except CallFailed as error:
        raise AssistantsUnavailable(f"endpoint {name!r}: {_explained(error, endpoint)}") from None
    finally:
        await client.close()


async def _definitions(settings: Settings, profiles: Sequence[Profile]) -> list[dict[str, Any]]:
    """Returns the definitions that the profiles describe, with the names of their tools expanded.

    Raises SettingsError for a tool that does not exist.
    """
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
        raise SettingsError(f"the MCP server has no tool {error}; to list its tools: threadmill tools") from None
    except ToolsUnavailable as error:
        raise SettingsError(str(error)) from None
    finally:
        await tools.close()


async def _provide(
    server: Provisioning, request: ProfileRequest, definition: dict[str, Any], *, dry_run: bool
) -> Provision:
    """Finds the assistant of a profile and what differs; creates or updates it unless `dry_run`."""
    known = await server.get(request.id) if request.id else None
    existing = known or await server.made_from(request.name)
    is_applied = existing is known and request.digest == digest(definition)
    changed = changes(shown(existing or {}), definition, applied=is_applied)
    outcome = "created" if existing is None else "updated" if changed else "unchanged"
    assistant_id: str | None = existing["id"] if existing else None
    if not dry_run and assistant_id is None:
        assistant_id = (await server.create(request.name, body_of(changed)))["id"]
    elif not dry_run and assistant_id is not None and changed:
        await server.update(assistant_id, request.name, body_of(changed) | {"metadata": definition["metadata"]})
    return Provision(
        request.name,
        assistant_id,
        outcome,
        changed,
        digest(definition),
        lost=request.id if not known else None,
        found=existing is not None and not known,
    )


async def _attempted(call: Awaitable[_T], endpoint: Endpoint) -> _T | str:
    """Returns the outcome, or the text of its error."""
    try:
        return await call
    except CallFailed as error:
        return _explained(error, endpoint)


def _described(assistant: dict[str, Any]) -> RemoteAssistant:
    moment = assistant.get("created_at")
    return RemoteAssistant(
        assistant["id"],
        moment if isinstance(moment, int | float) else None,
        profile_of(assistant),
        said(shown(assistant)),
        unknown(assistant),
    )


def _explained(error: CallFailed, endpoint: Endpoint) -> str:
    kind = error.call_error.failure.kind if isinstance(error.call_error, Rejected) else None
    if kind is FailureKind.UNAUTHORISED:
        variable = next(iter(endpoint.key_variables), None)
        return f"{error}; " + (f"check the key in {variable}" if variable else "check its api_key_env or entra_auth")
    if kind is FailureKind.UNSUPPORTED:
        return f"{error}; this server has no assistants: check base_url ({endpoint.base_url})"
    if kind is None:
        return f"{error}; is the server up? check base_url ({endpoint.base_url})"
    return str(error)
