"""`threadmill doctor`: checks everything that a job needs, and says what to fix."""

from dataclasses import asdict
from enum import StrEnum
from typing import Annotated

import typer

from threadmill.settings.settings import Settings
from threadmill.store.rights import set_user
from threadmill_cli.app import AsJson, Exit, LocalFlag, write_json, write_line
from threadmill_cli.command import examples
from threadmill_cli.commands.set_up.discovery import doctor_of_url
from threadmill_cli.commands.set_up.doctor.checks import SETTINGS, examine
from threadmill_cli.commands.set_up.new_endpoint import is_url


class Role(StrEnum):
    """Who uses Redis: the names in `rights.ROLES`."""

    PRODUCER = "producer"
    WORKER = "worker"
    SCHEDULER = "scheduler"


def add_to(app: typer.Typer) -> None:
    app.command(
        epilog=examples(
            "threadmill doctor",
            "threadmill doctor --no-prompt",
            "threadmill doctor emulator --local",
            "threadmill doctor http://127.0.0.1:8000/v1",
            "threadmill doctor https://api.openai.com/v1 --key-env OPENAI_API_KEY --model gpt-5-mini",
            "threadmill doctor --redis-acl worker",
        )
    )(doctor)


def doctor(
    endpoint: Annotated[
        str | None,
        typer.Argument(
            metavar="ENDPOINT|URL",
            help="Endpoint in the settings, or the URL of any server. Default: default_endpoint.",
            show_default=False,
        ),
    ] = None,
    named: Annotated[str | None, typer.Option("--endpoint", metavar="NAME", hidden=True)] = None,
    timeout_s: Annotated[
        float,
        typer.Option(
            "--timeout-s", min=1, metavar="SECONDS", help="How long the round trip, or one reply to a URL, may take."
        ),
    ] = 60,
    no_prompt: Annotated[bool, typer.Option("--no-prompt", help="Send no prompts, which cost a few tokens.")] = False,
    key_env: Annotated[
        str | None,
        typer.Option("--key-env", metavar="VARIABLE", help="With a URL: name of the variable with the server's key."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="MODEL", help="With a URL: model of the prompts. Default: the only one.")
    ] = None,
    local: LocalFlag = False,
    redis_acl: Annotated[
        Role | None,
        typer.Option("--redis-acl", help="Check nothing: print the line that makes a user in Redis with all it needs."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check all that a job needs, and send one prompt; or find out what the server at a URL offers.

    Checks settings, Redis, endpoint and workers, and whether the settings fit what the server offers. A URL needs
    neither Redis nor settings: what was found is noted on stderr, and the settings for threadmill.toml are printed.
    Exit code 2: the settings cannot be used; 1: another check failed.
    """
    if redis_acl is not None:
        write_line(set_user(redis_acl.value, Settings.load()))
        return
    asked = endpoint or named
    if asked is not None and is_url(asked):
        raise typer.Exit(
            doctor_of_url(asked, key_env, model, prompts=not no_prompt, limit_s=timeout_s, as_json=as_json)
        )
    if key_env or model:
        raise typer.BadParameter(
            "is for a URL; the settings of an endpoint name its key and its model", param_hint="--key-env, --model"
        )
    findings = []
    for finding in examine(asked, None if no_prompt else timeout_s, local):
        findings.append(finding)
        if not as_json:
            label = "FAIL" if not finding.ok else "warn" if finding.warning else "ok  "
            write_line(f"{label}  {finding.check:<11}  {finding.detail}")
    if as_json:
        write_json([asdict(finding) for finding in findings])
    if not findings[-1].ok:
        raise typer.Exit(Exit.USAGE if findings[-1].check == SETTINGS else Exit.FAILED)
