"""`threadmill callbacks`: lists callbacks, sends them again, and deletes them."""

from typing import Annotated

import typer

from threadmill.client import Client
from threadmill.store.records.callback import Delivery, DeliveryState
from threadmill_cli.app import AsJson, Exit, note, write_json
from threadmill_cli.command import ListGroup, examples
from threadmill_cli.rendering.table import write_table
from threadmill_cli.rendering.times import show_moment

Ids = Annotated[list[str] | None, typer.Argument(metavar="ID", help="Ids of callbacks.", show_default=False)]


def add_to(app: typer.Typer) -> None:
    callbacks = typer.Typer(
        cls=ListGroup,
        help="List the callbacks of jobs and batches, send them again, and delete them.\n\n"
        "`threadmill callbacks` alone lists them.",
        epilog=examples("threadmill callbacks", "threadmill callbacks retry --all-dead"),
    )
    callbacks.command("list", epilog=examples("threadmill callbacks list --state dead --json"))(list_)
    callbacks.command(epilog=examples("threadmill callbacks retry --all-dead"))(retry)
    callbacks.command(epilog=examples("threadmill callbacks drop msg_..."))(drop)
    app.add_typer(callbacks, name="callbacks")


def list_(
    state: Annotated[DeliveryState | None, typer.Option(help="Only those in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="List at most so many of each state.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List the callbacks: pending ones, then dead and delivered ones, which are kept as long as jobs."""
    found = Client().callbacks(state, limit)
    if as_json:
        write_json([_fields(delivery) for delivery in found])
        return
    rows = [
        (
            each.id,
            each.state,
            each.event,
            each.shown_url,
            f"{each.attempts}",
            show_moment(each.due_at) if each.due_at else "",
            each.reason or "",
        )
        for each in found
    ]
    write_table(("id", "state", "event", "url", "attempts", "next (UTC)", "last reply"), rows)


def _fields(delivery: Delivery) -> dict[str, object]:
    fields = delivery.model_dump(mode="json", exclude={"after", "before"})
    fields["receiver"]["url"] = delivery.shown_url
    return fields


def retry(
    ids: Ids = None,
    all_dead: Annotated[bool, typer.Option("--all-dead", help="All that were given up.")] = False,
) -> None:
    """Send callbacks again now, with the same ids. A dead one gets all its attempts again."""
    if bool(ids) == all_dead:
        raise typer.BadParameter("give the ids of callbacks, or --all-dead")
    _report(Client().retry_callbacks(ids or None), "callbacks due now", "pending")


def drop(ids: Annotated[list[str], typer.Argument(metavar="ID", help="Ids of callbacks.", show_default=False)]) -> None:
    """Delete callbacks, so that they are not sent (again)."""
    _report(Client().drop_callbacks(ids), "callbacks deleted", "dropped")


def _report(outcomes: dict[str, str], what: str, good: str) -> None:
    """Says what happened. Exits with an error if something did not."""
    done = sum(outcome == good for outcome in outcomes.values())
    note(f"{what}: {done:,}")
    for delivery_id, outcome in outcomes.items():
        if outcome != good:
            reason = "there is no such callback" if outcome == "missing" else "it was delivered, and is not sent again"
            note(f"{delivery_id}: {reason}")
    if done < len(outcomes):
        raise typer.Exit(Exit.FAILED)
