"""`threadmill dead-letters`: queue messages that no worker could deliver."""

from typing import Annotated

import typer

from threadmill.client import Client
from threadmill_cli.app import AsJson, note, write_json
from threadmill_cli.command import examples
from threadmill_cli.rendering.table import write_table
from threadmill_cli.rendering.times import show_moment


def add_to(app: typer.Typer) -> None:
    app.command(epilog=examples("threadmill dead-letters", "threadmill dead-letters --json > letters.json"))(
        dead_letters
    )


def dead_letters(
    clear: Annotated[bool, typer.Option("--clear", help="List them, then delete all of them.")] = False,
    as_json: AsJson = False,
) -> None:
    """List queue messages that no worker could deliver; with --json, also their first 64 kB in base64.

    Other clients of the queue sent them. Whoever sent a message must send the job again.
    """
    client = Client()
    letters, count = client.dead_letters(), client.store.dead_letter_count()
    if as_json:
        write_json([letter.model_dump(mode="json") for letter in letters])
    else:
        rows = [(show_moment(each.at), f"{each.size:,}", each.sha256[:12], each.reason) for each in letters]
        write_table(("taken (UTC)", "bytes", "sha256", "reason"), rows)
    if count > len(letters):
        note(f"{count:,} in all; the newest {len(letters):,} are kept")
    if clear:
        client.clear_dead_letters()
