"""`threadmill assistants apply`: creates or updates a server's assistants from profiles."""

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from threadmill.client import Client
from threadmill.errors import SettingsError
from threadmill.settings.profile import Profile
from threadmill.settings.profile_files import read_profiles
from threadmill.settings.settings import CONFIG_NAME, Settings
from threadmill.store.remote_records import Applied
from threadmill_cli.app import AsJson, Endpoint, Exit, err, note, write_json, write_line
from threadmill_cli.rendering.confirm import Yes
from threadmill_cli.rendering.differences import differences
from threadmill_cli.worker_command import run_worker_command

ProfileFile = Annotated[
    Path | None,
    typer.Argument(metavar="FILE", help="TOML or YAML file with profiles. Default: the profiles of the settings."),
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
    stored = client.store.assistants()
    orders = [
        {"name": each, "profile": asked.model_dump(mode="json"), "id": at and at.id, "digest": at and at.digest}
        for each, asked in profiles.items()
        for at in [stored.get((name, each))]
    ]
    plan = _provision("compare", name, orders)
    for each in plan:
        _show_plan(each, name)
    pending = [each["name"] for each in plan if each["outcome"] != "unchanged"]
    if dry_run or (pending and not yes and not sys.stdin.isatty()):
        _report(plan, name, as_json, planned=True)
        if not dry_run:
            note("nothing changed: pass --yes to apply when not at a terminal")
        raise typer.Exit(Exit.OK if dry_run else Exit.USAGE)
    if pending and not yes:
        typer.confirm(f"Apply to {name}?", abort=True, err=True)
    if pending:
        done = {each["name"]: each for each in _provision("apply", name, [o for o in orders if o["name"] in pending])}
        plan = [done.get(each["name"], each) for each in plan]
    for each in plan:
        if "failure" not in each:
            applied = Applied(id=each["id"], applied_at=datetime.now(UTC), digest=each["digest"])
            client.store.set_assistant(name, each["name"], applied)
    _report(plan, name, as_json, planned=False)
    where = f" --endpoint {endpoint}" if endpoint else ""
    if any("failure" in each for each in plan):
        raise typer.Exit(Exit.FAILED)
    note(f"to use it: threadmill submit --profile {plan[0]['name']}{where} ...")


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


def _provision(verb: str, endpoint: str, orders: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = run_worker_command(
        "assistants", verb, endpoint, environment={}, stdin=json.dumps(orders)
    )
    return found


def _show_plan(each: Mapping[str, Any], endpoint: str) -> None:
    if each["lost"]:
        note(f"profile {each['name']} was applied to {each['lost']}, which no longer exists on the server")
    if each["found"]:
        note(f"{each['id']} has the tag of profile {each['name']}: it is used as its assistant")
    if each["outcome"] != "unchanged":
        what = "a new assistant" if each["outcome"] == "created" else f"changes of {each['id']}"
        note(f"{each['name']}: {what} on {endpoint}")
        for line in differences(each["changes"]):
            err.print(line, soft_wrap=True)


def _report(plan: Sequence[Mapping[str, Any]], endpoint: str, as_json: bool, *, planned: bool) -> None:
    if as_json:
        write_json([{"endpoint": endpoint, "planned": planned, **each} for each in plan])
        return
    for each in plan:
        outcome = each.get("failure") or each["outcome"]
        if planned and outcome != "unchanged":
            outcome = f"would be {outcome}"
        write_line(f"{each['name']}  {endpoint}  {each['id'] or '-'}  {outcome}")
