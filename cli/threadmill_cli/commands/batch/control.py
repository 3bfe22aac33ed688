"""`threadmill batch pause`, `resume`, `limit`, `cancel` and `redrive`."""

from collections import Counter
from collections.abc import Mapping
from typing import Annotated

import typer

from threadmill.client import Client
from threadmill.job.result import JobState
from threadmill_cli.app import AsJson, note, write_json, write_line
from threadmill_cli.command import examples
from threadmill_cli.commands.batch.watch import Name
from threadmill_cli.rendering.confirm import Yes, confirm
from threadmill_cli.rendering.states import CANCELLED, REDRIVEN


def add_to(group: typer.Typer) -> None:
    group.command(epilog=examples("threadmill batch pause notes"))(pause)
    group.command(epilog=examples("threadmill batch resume notes"))(resume)
    group.command(epilog=examples("threadmill batch limit notes 20", "threadmill batch limit notes none"))(limit)
    group.command(epilog=examples("threadmill batch cancel notes", "threadmill batch cancel notes --yes"))(cancel)
    group.command(epilog=examples("threadmill batch redrive notes"))(redrive)


def pause(name: Name) -> None:
    """Stop starting jobs of a batch; running jobs finish."""
    Client().pause(name)
    note(f"{name} is paused; to resume it: threadmill batch resume {name}")


def resume(name: Name) -> None:
    """Start jobs of a paused batch again."""
    Client().resume(name)
    note(f"{name} is resumed")


def limit(
    name: Name,
    concurrent: Annotated[
        str, typer.Argument(metavar="N|none", help="The most jobs at a time, or none for no limit.", show_default=False)
    ],
) -> None:
    """Limit how many jobs of a batch run at a time. Running jobs continue, also those above the new limit."""
    if concurrent == "none":
        Client().limit_batch(name, None)
        note(f"{name} has no limit of its own")
    elif concurrent.isdecimal() and int(concurrent):
        Client().limit_batch(name, int(concurrent))
        note(f"{name} runs at most {int(concurrent):,} jobs at a time")
    else:
        raise typer.BadParameter(f"{concurrent!r} is no limit; give 1 or more, or none", param_hint="N|none")


def cancel(name: Name, yes: Yes = False, as_json: AsJson = False) -> None:
    """Cancel the unfinished jobs of a batch; running jobs end when their worker has stopped the remote run."""
    client = Client()
    unfinished = client.batch(name).open
    confirm(f"Cancel batch {name} with {unfinished:,} unfinished jobs?", yes=yes)
    _write_states(name, client.cancel_batch(name), CANCELLED, as_json, none="has no unfinished jobs")


def redrive(name: Name, as_json: AsJson = False) -> None:
    """Run the failed jobs of a batch again. A job keeps its earlier results."""
    _write_states(name, Client().redrive_batch(name), REDRIVEN, as_json, none="has no failed jobs")


def _write_states(
    batch: str, states: Mapping[str, JobState], words: Mapping[JobState, str], as_json: bool, *, none: str
) -> None:
    """Writes one line for all jobs. Jobs that ended meanwhile are counted by their state."""
    if as_json:
        write_json(states)
        return
    counts = Counter(states.values())
    shown = [f"{counts.pop(state):,} {word}" for state, word in words.items() if counts[state]]
    shown += [f"{number:,} had {state} before" for state, number in counts.items() if number]
    if shown:
        write_line(f"{batch}: {', '.join(shown)}")
    else:
        note(f"{batch} {none}")
