"""`threadmill leftovers`: remote things that outlived their jobs."""

from typing import Annotated

import typer

from threadmill.cli.app import AsJson, err, put, put_json
from threadmill.cli.command import examples
from threadmill.client import Client


def add_to(app: typer.Typer) -> None:
    app.command(epilog=examples("threadmill leftovers", "threadmill leftovers --retry"))(leftovers)


def leftovers(
    retry: Annotated[bool, typer.Option("--retry", help="Try all again now, those given up too.")] = False,
    as_json: AsJson = False,
) -> None:
    """List remote threads that could not be deleted yet. Workers go on trying, a bounded number of times."""
    client = Client()
    if retry:
        err.print(f"{client.retry_leftovers()} to be tried again by the next sweep of a worker")
    left = client.leftovers()
    if as_json:
        put_json([each.model_dump(mode="json") for each in left])
        return
    for each in left:
        when = f"next try {each.due_at:%Y-%m-%d %H:%M:%S}" if each.due_at else "given up"
        put(f"{each.endpoint}  {each.kind}  {each.id}  {each.tries} tries  {when}")
