"""`threadmill init`: finds out what a server offers, and writes the settings file for it."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from threadmill.errors import SettingsError
from threadmill_cli.app import Exit, note, write
from threadmill_cli.command import examples
from threadmill_cli.commands.set_up.discovery import Server
from threadmill_cli.commands.set_up.new_endpoint import check_name, check_url, name_for, variable_for
from threadmill_cli.commands.set_up.settings_file import check_free, read_text, settings_file, with_endpoint, write_text
from threadmill_cli.extras import worker_code
from threadmill_cli.rendering.confirm import Yes, confirm

if TYPE_CHECKING:
    from threadmill_worker.admin.discovery.findings import Discovery


def add_to(app: typer.Typer) -> None:
    app.command(
        epilog=examples(
            "threadmill init",
            "threadmill init --url http://127.0.0.1:8000/v1 --yes",
            "threadmill init --url https://api.openai.com/v1 --key-env OPENAI_API_KEY --model gpt-5-mini --yes",
            "threadmill init --url http://127.0.0.1:8000/v1 --stdout",
        )
    )(init)


def init(
    url: Annotated[str | None, typer.Option(metavar="URL", help="The server's URL. Default: asks.")] = None,
    key_env: Annotated[
        str | None,
        typer.Option(
            "--key-env", metavar="VARIABLE", help="Name of the variable with the key; never the key. Default: asks."
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the endpoint. Default: made from the host.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Model of jobs that name none. Default: the only one, or asks.")
    ] = None,
    no_prompt: Annotated[
        bool, typer.Option("--no-prompt", help="Send no prompts, which cost a few tokens; less is found out.")
    ] = False,
    no_calls: Annotated[
        bool, typer.Option("--no-calls", help="Do not call the server; its kind is a guess from the URL.")
    ] = False,
    stdout: Annotated[bool, typer.Option("--stdout", help="Print the settings; write no file.")] = False,
    timeout_s: Annotated[
        float, typer.Option("--timeout-s", min=1, metavar="SECONDS", help="How long one reply may take.")
    ] = 60,
    yes: Yes = False,
) -> None:
    """Ask for a server's URL and the variable with its key, find out what it offers, and write the settings for it.

    An existing file keeps all it has, and gets a table for the new endpoint. Exit code 1: the server cannot be used;
    2: a mistake in the command or in the file.
    """
    try:
        server = _server(url, key_env)
        name = check_name(name or name_for(server.url))
        file = settings_file()
        before = "" if stdout else read_text(file)
        check_free(before, name, file)
        found = _found(server, model, no_prompt=no_prompt, no_calls=no_calls, limit_s=timeout_s)
        lines = server.lines(found, name)
        after = with_endpoint(before, name, lines, file)
        if stdout:
            write(lines)
            return
        note("")
        note(lines)
        confirm(f"Write this to {file}?", yes=yes)
        write_text(file, after)
    except (KeyboardInterrupt, typer.Abort):
        note("\nNothing was written.")
        raise typer.Exit(Exit.INTERRUPTED) from None
    _say_how_to_go_on(file, name, found, server.missing_key())


def _server(url: str | None, variable: str | None) -> Server:
    """Asks for what the options leave out, at a terminal."""
    if url is None:
        if not sys.stdin.isatty():
            raise SettingsError("which server? Give its URL with --url when not at a terminal")
        url = check_url(typer.prompt("URL of the server", err=True).strip())
        if variable is None:
            usual = variable_for(url)
            question = "Name of the variable with its key (not the key; empty: it needs none)"
            variable = typer.prompt(question, default=usual or "", show_default=usual is not None, err=True).strip()
    return Server(url, variable)


def _found(server: Server, model: str | None, *, no_prompt: bool, no_calls: bool, limit_s: float) -> "Discovery":
    if not no_calls and (missing := server.missing_key()):
        note(f"{missing} is not set here, so the server cannot be asked what it offers.")
        if not sys.stdin.isatty():
            raise SettingsError(f"export {missing}=..., or pass --no-calls to write the settings without asking")
        no_calls = typer.confirm("Write the settings without asking it?", abort=True, err=True)
    with worker_code():
        from threadmill_worker.admin.discovery.addresses import ServerUnusable
        from threadmill_worker.admin.discovery.discover import guess
    if no_calls:
        return guess(server.url, model)
    try:
        found = server.discover(model, prompts=not no_prompt, limit_s=limit_s)
        if found.model is None and len(found.models) > 1 and sys.stdin.isatty():
            chosen = str(typer.prompt("Model of jobs that name none", err=True)).strip()
            found = server.discover(chosen, prompts=not no_prompt, limit_s=limit_s)
    except ServerUnusable as error:
        note(f"threadmill: {error}. Nothing was written; --no-calls writes the settings without asking the server")
        raise typer.Exit(Exit.FAILED) from None
    return found


def _say_how_to_go_on(file: Path, name: str, found: "Discovery", missing: str | None) -> None:
    note(f"{file} has the endpoint {name}. A first batch, with its own Redis and worker:")
    note("")
    if missing:
        note(f"  export {missing}=...")
    which = "" if found.model else " --assistant asst_..." if found.wire == "assistants" else " --model MODEL"
    note(
        f"  threadmill batch notes/ --endpoint {name}{which} --prompt 'Summarise:\\n{{{{ text }}}}' "
        "--out summaries.jsonl --local"
    )
