"""`threadmill keys`: creates, lists and revokes the API keys of the gateway."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from threadmill.client import Client
from threadmill.job.api_key import DEFAULT_SCOPES, ApiKey, Scope
from threadmill_cli.app import AsJson, note, write_json, write_line
from threadmill_cli.command import ListGroup, examples
from threadmill_cli.rendering.table import write_table
from threadmill_cli.rendering.times import parse_span, show_moment

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="The caller; also the tenant of its jobs.", show_default=False)
]


def add_to(app: typer.Typer) -> None:
    keys = typer.Typer(
        cls=ListGroup,
        help="Create, list and revoke the API keys of those who call the gateway.\n\n"
        "`threadmill keys` alone lists them.",
        epilog=examples("threadmill keys", "threadmill keys create shop --expires 90d", "threadmill keys revoke shop"),
    )
    keys.command(
        epilog=examples(
            "threadmill keys create shop",
            "threadmill keys create shop --endpoints davinci,openai --requests-per-minute 60 --max-open-jobs 100",
            "threadmill keys create operations --scopes enqueue,read,operate --expires 90d",
        )
    )(create)
    keys.command("list", epilog=examples("threadmill keys list", "threadmill keys list --json"))(list_)
    keys.command(epilog=examples("threadmill keys revoke shop"))(revoke)
    app.add_typer(keys, name="keys")


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def create(
    name: Name,
    scopes: Annotated[
        Any,  # tuple[str, ...]: typer would take an option for each
        typer.Option(
            parser=_names,
            metavar="SCOPE,...",
            help=f"What the caller may do: {', '.join(Scope)}. Default: {', '.join(DEFAULT_SCOPES)}.",
        ),
    ] = None,
    endpoints: Annotated[
        Any,  # tuple[str, ...] | None
        typer.Option(parser=_names, metavar="NAME,...", help="Endpoints that its jobs may use. Default: all."),
    ] = None,
    expires: Annotated[
        timedelta | None,
        typer.Option(parser=parse_span, metavar="SPAN", help="Valid for this long: 12h, 90d. Default: until revoked."),
    ] = None,
    requests_per_minute: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Requests a minute. Default: any number.")
    ] = None,
    max_open_jobs: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Jobs queued and running at a time. Default: any number.")
    ] = None,
    max_body_bytes: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Bytes of one request. Default: the gateway's limit.")
    ] = None,
    callback_secret_env: Annotated[
        str | None,
        typer.Option(
            metavar="VARIABLE",
            help="Sign its callbacks with the secret (whsec_...) in this environment variable of the workers.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Create an API key and print it. This is the only time: Redis has a hash of it."""
    client = Client()
    made = client.create_api_key(
        name,
        scopes=DEFAULT_SCOPES if scopes is None else scopes,
        endpoints=endpoints,
        expires_at=None if expires is None else _after(client.store.now(), expires),
        requests_per_minute=requests_per_minute,
        max_open_jobs=max_open_jobs,
        max_body_bytes=max_body_bytes,
        callback_secret_env=callback_secret_env,
    )
    if as_json:
        write_json(_fields(made.key) | {"key": made.text})
    else:
        write_line(made.text)
    until = "until it is revoked" if made.key.expires_at is None else f"until {show_moment(made.key.expires_at)} UTC"
    note(f"the key of {name}, valid {until}. Keep it: it is not shown again. To end it: threadmill keys revoke {name}")


def _after(now: datetime, span: timedelta) -> datetime:
    try:
        return now + span
    except OverflowError:
        raise typer.BadParameter(
            "is too long: leave it out for a key that is valid until it is revoked", param_hint="--expires"
        ) from None


def list_(as_json: AsJson = False) -> None:
    """List the API keys by name, also those that have expired. Their secrets are not stored."""
    client = Client()
    found = client.api_keys()
    if as_json:
        write_json([_fields(key) for key in found])
        return
    now = client.store.now() if found else datetime.now(UTC)
    write_table(_COLUMNS, [_row(key, now) for key in found])
    if not found:
        note("there are no API keys: a gateway that listens on this machine alone lets everybody in")


def revoke(name: Name) -> None:
    """Delete an API key. A gateway may accept it for 5 more seconds. Its caller's jobs continue."""
    Client().revoke_api_key(name)
    note(f"the key of {name} is revoked")


_COLUMNS = ("name", "id", "scopes", "endpoints", "requests/min", "open jobs", "created (UTC)", "expires (UTC)")


def _row(key: ApiKey, now: datetime) -> list[str]:
    if not key.is_readable:
        return [key.name, "unreadable: nobody can use it; revoke it", *[""] * (len(_COLUMNS) - 2)]
    return [
        key.name,
        key.id,
        ",".join(key.scopes),
        "all" if key.endpoints is None else ",".join(key.endpoints),
        "-" if key.requests_per_minute is None else f"{key.requests_per_minute:,}",
        "-" if key.max_open_jobs is None else f"{key.max_open_jobs:,}",
        show_moment(key.created_at) if key.created_at else "",
        _expiry(key, now),
    ]


def _expiry(key: ApiKey, now: datetime) -> str:
    if key.expires_at is None:
        return "-"
    return show_moment(key.expires_at) + (" (expired)" if key.has_expired(now) else "")


def _fields(key: ApiKey) -> dict[str, Any]:
    return key.model_dump(mode="json", exclude={"sha256"})
