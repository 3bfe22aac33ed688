"""`threadmill threads`: lists, shows and deletes kept threads."""

import asyncio
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from threadmill.client import Client
from threadmill.errors import ThreadInUse, ThreadNotFound
from threadmill.job.message import label
from threadmill.names import is_thread_id
from threadmill.settings.settings import Settings
from threadmill.store.records.remote import KeptThread, Transcript
from threadmill_cli.app import AsJson, Endpoint, Exit, err, write_json, write_line
from threadmill_cli.command import ListGroup, examples
from threadmill_cli.extras import worker_code
from threadmill_cli.rendering.table import write_table
from threadmill_cli.rendering.times import parse_span, show_span

ThreadIds = Annotated[list[str] | None, typer.Argument(metavar="THREAD", help="Thread ids.", show_default=False)]
ThreadId = Annotated[str, typer.Argument(metavar="THREAD", help="Thread id.", show_default=False)]
OlderThan = Annotated[
    timedelta | None,
    typer.Option(parser=parse_span, metavar="SPAN", help="Those last used longer ago: 90m, 12h, 30d, 4w."),
]


def add_to(app: typer.Typer) -> None:
    threads = typer.Typer(
        cls=ListGroup,
        help="List, show and delete the threads that jobs with `keep_thread` kept for later jobs.\n\n"
        "`threadmill threads` alone lists them.",
        epilog=examples("threadmill threads", "threadmill threads show thread_abc"),
    )
    threads.command("list", epilog=examples("threadmill threads list --json"))(list_)
    threads.command(epilog=examples("threadmill threads show thread_abc"))(show)
    threads.command(
        epilog=examples("threadmill threads delete thread_abc", "threadmill threads delete --older-than 30d")
    )(delete)
    app.add_typer(threads, name="threads")


def list_(as_json: AsJson = False) -> None:
    """List the kept threads, the last used first."""
    client = Client()
    kept, now = client.threads(), client.store.now()
    if as_json:
        write_json([thread.model_dump(mode="json") for thread in kept])
        return
    rows = [
        (
            thread.id,
            thread.endpoint,
            show_span(now - thread.created_at),
            f"{show_span(now - thread.used_at)} ago",
            f"{thread.jobs:,}",
            f"in {show_span(thread.expires_at - now)}" if thread.expires_at else "-",
            thread.job_id,
        )
        for thread in kept
    ]
    write_table(("thread", "endpoint", "age", "used", "jobs", "expires", "last job"), rows)


def show(thread: ThreadId, endpoint: Endpoint = None, as_json: AsJson = False) -> None:
    """Show the messages of a thread: from the server, or from Redis if the server keeps none.

    One that is not kept needs --endpoint.
    """
    if not is_thread_id(thread):
        raise ThreadNotFound(thread)
    client = Client()
    kept = next((each for each in client.threads() if each.id == thread and endpoint in (None, each.endpoint)), None)
    if kept is None and endpoint is None:
        raise ThreadNotFound(thread)
    name = kept.endpoint if kept else client.settings.endpoint_name(endpoint)
    messages, is_complete = _stored(client, kept) or _read(client.settings, name, thread, kept.key if kept else None)
    if as_json:
        kept_as = kept and kept.model_dump(mode="json")
        told = {"gone": messages is None, "messages": messages or [], "complete": is_complete}
        write_json({"id": thread, "endpoint": name, "kept": kept_as, **told})
    else:
        _print(messages or [], is_complete, kept.dropped if kept else 0)
    if messages is None:
        place = "from Redis" if kept and kept.kind == "local" else f"on the server of endpoint {name!r}"
        forget = f"; to forget it: threadmill threads delete {thread}" if kept else ""
        err.print(f"thread {thread} is gone {place}{forget}", soft_wrap=True, markup=False)
        raise typer.Exit(Exit.FAILED)


def delete(
    threads: ThreadIds = None,
    everything: Annotated[bool, typer.Option("--all", help="All kept threads.")] = False,
    older_than: OlderThan = None,
    endpoint: Annotated[str | None, typer.Option(help="Only threads of this endpoint.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask on a terminal.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Also where jobs wait or run on it; they will fail.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete kept threads with their files and vector stores."""
    client = Client()
    used_before = None if older_than is None else client.store.now() - older_than
    chosen = _chosen(client.threads(), threads or (), everything, used_before, endpoint)
    for thread in chosen:
        things = f" and {len(thread.things)} files or stores of it" if thread.things else ""
        err.print(f"to delete: thread {thread.id} of {thread.endpoint}{things}", soft_wrap=True, markup=False)
    if chosen and not yes and sys.stdin.isatty():
        typer.confirm(f"Delete {len(chosen)}?", abort=True, err=True)
    outcomes = {thread.id: _delete(client, thread, force) for thread in chosen}
    if as_json:
        write_json(outcomes)
    else:
        for name, outcome in outcomes.items():
            write_line(f"{name}  {outcome}")
    if any(outcome not in (_DELETED, _TO_DELETE) for outcome in outcomes.values()):
        raise typer.Exit(Exit.FAILED)


_DELETED, _TO_DELETE = "deleted", "deleted by the next sweep of a worker"


def _delete(client: Client, thread: KeptThread, force: bool) -> str:
    try:
        client.delete_thread(thread.id, thread.endpoint, force=force)
    except ThreadInUse as error:
        return f"left alone: {', '.join(error.job_ids)} wait or run on it"
    except ThreadNotFound:  # somebody deleted it meanwhile
        pass
    return _DELETED if thread.kind == "local" else _TO_DELETE


def _chosen(
    kept: Sequence[KeptThread],
    named: Sequence[str],
    everything: bool,
    used_before: datetime | None,
    endpoint: str | None,
) -> list[KeptThread]:
    """Returns the named threads, or all threads that match the options."""
    if bool(named) == (everything or used_before is not None):
        raise typer.BadParameter("name threads, or give --all or --older-than SPAN")
    chosen = [thread for thread in kept if endpoint in (None, thread.endpoint)]
    for name in named:
        if name not in {thread.id for thread in chosen}:
            raise ThreadNotFound(name)
    if named:
        return [thread for thread in chosen if thread.id in named]
    return [thread for thread in chosen if used_before is None or thread.used_at <= used_before]


def _read(settings: Settings, endpoint: str, thread: str, key: str | None) -> tuple[list[dict[str, Any]] | None, bool]:
    """Returns the messages that the server has, and whether they are all. None: the thread is gone."""
    with worker_code():
        from threadmill_worker.admin.transcript import transcript

        found = asyncio.run(transcript(settings, endpoint, thread, key))
    return (list(found.messages), found.complete) if found else (None, True)


def _stored(client: Client, kept: KeptThread | None) -> tuple[list[dict[str, Any]] | None, bool] | None:
    """Returns what `_read` returns, from Redis. None: only the server can have the messages."""
    stored = client.store.transcript(kept) if kept and kept.has_transcript else None
    if kept is None or (stored is None and kept.kind != "local"):
        return None
    return (_messages(stored) if stored else None), not kept.dropped


def _messages(transcript: Transcript) -> list[dict[str, Any]]:
    """Returns the messages of a transcript, without tool calls, in the form in which the worker reads a server's."""
    return [_message(item) for item in transcript.items if item.get("role") not in (None, "tool") and item["content"]]


def _message(item: Mapping[str, Any]) -> dict[str, Any]:
    content = item["content"]
    parts = [{"text": content}] if isinstance(content, str) else content
    sources = [_source(part) for part in parts if part.get("type") in ("input_image", "image_url")]
    text = "\n".join(part["text"] for part in parts if part.get("text"))
    return {"id": None, "role": item["role"], "created_at": None, "text": text, "files": sources}


def _source(image: Mapping[str, Any]) -> str:
    """Returns where the image of a message is: of a chain of responses, or of Chat Completions."""
    url = image.get("image_url")
    return str(image.get("file_id") or label(str(url["url"] if isinstance(url, dict) else url)))


def _print(messages: Iterable[Mapping[str, Any]], is_complete: bool, dropped: int) -> None:
    for message in messages:
        moment = message["created_at"]
        when = f"  {datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%S}" if moment is not None else ""
        files = f"  [{', '.join(message['files'])}]" if message["files"] else ""
        write_line(f"{message['role']}{when}{files}\n{message['text']}\n")
    if dropped:
        err.print(f"its first {dropped:,} messages were dropped: it had become too long")
    elif not is_complete:
        err.print("the thread is longer than this: only its beginning is shown")
