"""`threadmill assistants`: lists, shows, exports and deletes a server's assistants. Applying: assistants_apply.py."""

import asyncio
import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import ValidationError

from threadmill.client import Client
from threadmill.errors import InvalidProfile, ThreadmillError
from threadmill.job.model import explain
from threadmill.settings.profile import Profile
from threadmill.settings.profile_files import check_name
from threadmill_cli.app import AsJson, Endpoint, Exit, note, without_none, write_json, write_line
from threadmill_cli.command import ListGroup, examples
from threadmill_cli.commands.set_up.assistants.apply import apply
from threadmill_cli.extras import worker_code
from threadmill_cli.rendering.confirm import Yes, confirm
from threadmill_cli.rendering.profile import as_toml

if TYPE_CHECKING:
    from threadmill_worker.admin.assistants import RemoteAssistant

Assistant = Annotated[str, typer.Argument(metavar="ID|PROFILE", help="Remote id, or the name of an applied profile.")]
Assistants = Annotated[
    list[str], typer.Argument(metavar="ID|PROFILE", help="Remote ids, or names of applied profiles.")
]


class AssistantNotFound(ThreadmillError, LookupError):
    def __init__(self, asked: str, endpoint: str) -> None:
        super().__init__(
            f"endpoint {endpoint!r} has no assistant {asked!r}, and no profile of this name was applied to it; "
            f"to list what it has: threadmill assistants list --endpoint {endpoint}"
        )


def add_to(app: typer.Typer) -> None:
    assistants = typer.Typer(
        cls=ListGroup,
        help="Manage a server's assistants.\n\n`threadmill assistants` alone lists them.",
        epilog=examples("threadmill assistants --endpoint davinci", "threadmill assistants apply support.yaml"),
    )
    assistants.command("list", epilog=examples("threadmill assistants list --endpoint davinci"))(list_)
    assistants.command(epilog=examples("threadmill assistants show support"))(show)
    assistants.command(epilog=examples("threadmill assistants apply support.toml --dry-run"))(apply)
    assistants.command(epilog=examples("threadmill assistants export asst_abc --out support.toml"))(export)
    assistants.command(epilog=examples("threadmill assistants delete support"))(delete)
    app.add_typer(assistants, name="assistants")


def list_(endpoint: Endpoint = None, as_json: AsJson = False) -> None:
    """List the assistants of a server and the profiles they were made from."""
    client = Client()
    name = client.settings.endpoint_name(endpoint)
    with worker_code():
        from threadmill_worker.admin.assistants import list_assistants

        found = asyncio.run(list_assistants(client.settings, name))
    profiles = {profile: at.id for (where, profile), at in client.store.assistants().items() if where == name}
    applied = {each.id: [profile for profile, id in profiles.items() if id == each.id] for each in found}
    if as_json:
        write_json([asdict(each) | {"applied": applied[each.id]} for each in found])
    else:
        for each in found:
            write_line(_line(each, applied[each.id]))
    for profile, id in profiles.items():
        if id not in applied:
            note(f"profile {profile} was applied to {id}, which the server does not list: apply it again")


def show(assistant: Assistant, endpoint: Endpoint = None, as_json: AsJson = False) -> None:
    """Show an assistant as the server has it."""
    client = Client()
    name = client.settings.endpoint_name(endpoint)
    found = _get(client, name, assistant)
    if as_json:
        write_json({"endpoint": name, **asdict(found)})
        return
    moment = found.created_at
    created = f", created {datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%S}" if moment is not None else ""
    write_line(f"# {found.id} of {name}{created}")
    write_line(as_toml(_profile(found)).rstrip("\n"))


def export(
    assistant: Assistant,
    endpoint: Endpoint = None,
    out: Annotated[Path | None, typer.Option(help="A .toml file. Default: stdout.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite --out.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write an assistant as a profile."""
    if out:
        check_name(out)
        if out.exists() and not force:
            raise InvalidProfile(f"{out} already exists: name another file, or pass --force")
    client = Client()
    name = client.settings.endpoint_name(endpoint)
    found = _get(client, name, assistant)
    profile = _profile(found)
    text = as_toml(profile)
    if profile.tool_resources:
        note(f"tool_resources name files or vector stores of {name}: replace them before you apply it elsewhere")
    for field, value in found.unknown.items():
        note(f"left out, because profiles have no such field: {field}: {json.dumps(value, ensure_ascii=False)[:200]}")
    if out:
        try:
            out.write_bytes(text.encode())
        except OSError as error:
            raise InvalidProfile(f"{out}: cannot be written: {error.strerror}") from None
        note(f"{found.id} of {name} was written to {out}")
    if as_json:
        write_json(profile.model_dump(mode="json", exclude_defaults=True))
    elif not out:
        write_line(text.rstrip("\n"))


def delete(assistants: Assistants, endpoint: Endpoint = None, yes: Yes = False, as_json: AsJson = False) -> None:
    """Delete assistants on the server."""
    client = Client()
    name = client.settings.endpoint_name(endpoint)
    ids = {_id_of(client, name, each): each for each in assistants}
    for id, asked in ids.items():
        note(f"to delete: {id} of {name}" + (f", the assistant of profile {asked}" if asked != id else ""))
    confirm(f"Delete {len(ids)}?", yes=yes)
    with worker_code():
        from threadmill_worker.admin.assistants import delete_assistants

        deletions = asyncio.run(delete_assistants(client.settings, name, list(ids)))
    for (where, profile), at in client.store.assistants().items():
        if where == name and at.id in deletions and deletions[at.id].failure is None:
            client.store.drop_assistant(name, profile)
    if as_json:
        write_json({id: without_none(**asdict(deletion)) for id, deletion in deletions.items()})
    else:
        for id, deletion in deletions.items():
            write_line(f"{id}  {deletion.outcome or deletion.failure}")
    if any(deletion.failure for deletion in deletions.values()):
        raise typer.Exit(Exit.FAILED)


def _id_of(client: Client, endpoint: str, asked: str) -> str:
    id = client.store.assistant_of(endpoint, asked) or asked
    if not re.fullmatch(r"[\w-]+", id):  # the id becomes part of a URL
        raise AssistantNotFound(asked, endpoint)
    return id


def _get(client: Client, endpoint: str, asked: str) -> "RemoteAssistant":
    """Returns the assistant of an id or a profile. Raises AssistantNotFound."""
    with worker_code():
        from threadmill_worker.admin.assistants import get_assistant

        found = asyncio.run(get_assistant(client.settings, endpoint, _id_of(client, endpoint, asked)))
    if found is None:
        raise AssistantNotFound(asked, endpoint)
    return found


def _profile(found: "RemoteAssistant") -> Profile:
    try:
        return Profile.model_validate(found.profile)
    except ValidationError as error:
        raise InvalidProfile(
            f"assistant {found.id} cannot be written as a profile: {explain(error)}; to see it: --json"
        ) from None


def _line(each: "RemoteAssistant", applied: Sequence[str]) -> str:
    profile, came_from = each.profile, ", ".join(applied)
    if not came_from and each.made_from:
        came_from = f"{each.made_from} (by its tag)"
    tools = [(tool.get("function") or {}).get("name") or tool.get("type") or "?" for tool in profile.get("tools", ())]
    columns = [each.id, profile.get("name") or "-", profile.get("model") or "-", ", ".join(tools) or "no tools"]
    return "  ".join([*columns, f"profile {came_from}" if came_from else "-"])
