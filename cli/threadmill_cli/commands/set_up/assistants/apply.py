"""`threadmill assistants apply`: creates or updates a server's assistants from profiles."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from threadmill.client import Client
from threadmill.errors import SettingsError
from threadmill.settings.config_file import CONFIG_NAME
from threadmill.settings.profile import Profile
from threadmill.settings.profile_files import read_profiles
from threadmill.settings.settings import Settings
from threadmill.store.records.remote import Applied
from threadmill_cli.app import AsJson, Endpoint, Exit, err, note, write_json, write_line
from threadmill_cli.extras import worker_code
from threadmill_cli.rendering.confirm import Yes
from threadmill_cli.rendering.differences import differences

if TYPE_CHECKING:
    from threadmill_worker.admin.assistants import Provision

ProfileFile = Annotated[
    Path | None,
    typer.Argument(metavar="FILE", help="A TOML file with profiles. Default: the profiles of the settings."),
]


def apply(
    file: ProfileFile = None,
    endpoint: Endpoint = None,
    profile: Annotated[str | None, typer.Option(metavar="NAME", help="Apply only this profile.")] = None,
    yes: Yes = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
    as_json: AsJson = False,
) -> None:
    """Create or update assistants on the server from profiles, after showing what would change."""
    client = Client()
    name = client.settings.endpoint_name(endpoint)
    profiles = _profiles(client.settings, file, profile)
    with worker_code():
        from threadmill_worker.admin.assistants import ProfileRequest, apply_profiles, compare_profiles

        stored = client.store.assistants()
        requests = [
            ProfileRequest(each, wanted, at.id if at else None, at.digest if at else None)
            for each, wanted in profiles.items()
            for at in [stored.get((name, each))]
        ]
        plan = asyncio.run(compare_profiles(client.settings, name, requests))
    for each in plan:
        _show_plan(each, name)
    pending = [each.name for each in plan if each.outcome != "unchanged"]
    if dry_run or (pending and not yes and not sys.stdin.isatty()):
        _report(plan, name, as_json, planned=True)
        if not dry_run:
            note("nothing changed: pass --yes to apply when not at a terminal")
        raise typer.Exit(Exit.OK if dry_run else Exit.USAGE)
    if pending and not yes:
        typer.confirm(f"Apply to {name}?", abort=True, err=True)
    if pending:
        with worker_code():
            changed = [request for request in requests if request.name in pending]
            applied = {each.name: each for each in asyncio.run(apply_profiles(client.settings, name, changed))}
        plan = [applied.get(each.name, each) for each in plan]
    for each in plan:
        if each.id and each.digest:
            key = client.settings.endpoints[name].first_key  # the one that these commands use
            now = Applied(id=each.id, applied_at=datetime.now(UTC), digest=each.digest, key=key)
            client.store.set_assistant(name, each.name, now)
    _report(plan, name, as_json, planned=False)
    where = f" --endpoint {endpoint}" if endpoint else ""
    if any(each.failure for each in plan):
        raise typer.Exit(Exit.FAILED)
    note(f"to use it: threadmill submit --profile {plan[0].name}{where} ...")


def _profiles(settings: Settings, file: Path | None, only: str | None) -> Mapping[str, Profile]:
    profiles = read_profiles(file) if file else settings.profiles
    source = str(file or CONFIG_NAME)
    if not profiles:
        raise SettingsError(f"there are no profiles in {source}: name a FILE, or add [profiles.NAME] to {CONFIG_NAME}")
    if only is None:
        return profiles
    if only not in profiles:
        raise SettingsError(f"there is no profile {only!r} in {source}; it has {', '.join(profiles)}")
    return {only: profiles[only]}


def _show_plan(each: "Provision", endpoint: str) -> None:
    if each.lost:
        note(f"profile {each.name} was applied to {each.lost}, which no longer exists on the server")
    if each.found:
        note(f"{each.id} has the tag of profile {each.name}: it is used as its assistant")
    if each.outcome != "unchanged":
        what = "a new assistant" if each.outcome == "created" else f"changes of {each.id}"
        note(f"{each.name}: {what} on {endpoint}")
        for line in differences(each.changes or {}):
            err.print(line, soft_wrap=True)


def _report(plan: Sequence["Provision"], endpoint: str, as_json: bool, *, planned: bool) -> None:
    if as_json:
        write_json([{"endpoint": endpoint, "planned": planned, **asdict(each)} for each in plan])
        return
    for each in plan:
        outcome = each.failure or each.outcome
        if planned and outcome != "unchanged":
            outcome = f"would be {outcome}"
        write_line(f"{each.name}  {endpoint}  {each.id or '-'}  {outcome}")
