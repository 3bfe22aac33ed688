"""`threadmill leftovers`: lists remote objects that still have to be deleted."""

from typing import Annotated

import typer

from threadmill.client import Client
from threadmill_cli.app import AsJson, note, write_json
from threadmill_cli.command import examples
from threadmill_cli.rendering.table import write_table
from threadmill_cli.rendering.times import show_moment


def add_to(app: typer.Typer) -> None:
    app.command(epilog=examples("threadmill leftovers", "threadmill leftovers --retry"))(leftovers)


def leftovers(
    retry: Annotated[
        bool, typer.Option("--retry", help="Try to delete all of them now, including those given up.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List remote objects that could not be deleted yet. Workers try again a limited number of times."""
    client = Client()
    if retry:
        note(f"workers will retry {client.retry_leftovers():,} leftovers at their next sweep")
    left = client.leftovers()
    if as_json:
        write_json([each.model_dump(mode="json") for each in left])
        return
    rows = [
        (each.endpoint, each.kind, each.id, f"{each.tries}", show_moment(each.due_at) if each.due_at else "given up")
        for each in left
    ]
    write_table(("endpoint", "kind", "id", "tries", "next try (UTC)"), rows)
