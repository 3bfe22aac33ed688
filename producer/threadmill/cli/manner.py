"""Options of how `threadmill batch` goes about its documents, and how it says so."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from threadmill.batch.estimate import Estimate, estimate
from threadmill.batch.export import Format, export
from threadmill.batch.questions import Questions
from threadmill.batch.run import Plan
from threadmill.cli.app import err, put
from threadmill.client import Client
from threadmill.documents.source import DocumentSet
from threadmill.documents.template import BadDocument, PromptTemplate
from threadmill.job import PromptJob

#: Those that `threadmill batch` writes next to its results.
_FORMATS = [each for each in Format if each not in (Format.JSONL, Format.TEMPLATE)]

_SHOWN = 3
_SHOWN_CHARACTERS = 600
_SAY_EVERY_S = 10.0

Formats = Annotated[
    list[Format] | None,
    typer.Option(
        "--format", metavar="FORMAT", help=f"In the end, write the results in this form too: {', '.join(_FORMATS)}."
    ),
]
RetryFailed = Annotated[
    bool, typer.Option("--retry-failed", help="Ask again about what failed in an earlier run of this command.")
]
Force = Annotated[bool, typer.Option("--force", help="Ask about all anew, and overwrite --out, whatever it holds.")]
Limit = Annotated[int | None, typer.Option(min=1, metavar="N", help="Only the first N documents.")]
Sample = Annotated[int | None, typer.Option(min=1, metavar="N", help="Only N documents, the same ones every time.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be asked and what it may cost; ask nothing.")]
MaxCost = Annotated[
    float | None, typer.Option("--max-cost", min=0, help="Begin nothing more once so much is spent ([prices]).")
]
MaxTokens = Annotated[int | None, typer.Option("--max-tokens", min=1, help="The same, of tokens.")]
MaxFailures = Annotated[
    int | None, typer.Option("--max-failures", min=1, help="The same, of documents that failed in this run.")
]
MaxQueued = Annotated[int, typer.Option("--max-queued", min=1, help="Jobs that stand in Redis unfinished, at most.")]
Detach = Annotated[bool, typer.Option("--detach", help="Go on in the background; see: threadmill attach NAME.")]
Ordered = Annotated[bool, typer.Option("--ordered", help="In the end, put the lines in the documents' order.")]


def beside(out: Path, formats: Sequence[Format]) -> dict[Format, Path]:
    """Where the results in these forms go; raises BadParameter."""
    for each in formats:
        if each not in _FORMATS or out.with_suffix(each.suffix) == out:
            raise typer.BadParameter(f"--format {each} is not written next to {out}; see: threadmill export --help")
    return {each: out.with_suffix(each.suffix) for each in formats}


def write(results: Path, files: Mapping[Format, Path]) -> None:
    """The results in other forms, in place of those of an earlier run."""
    for form, file in files.items():
        export(results, form, file, force=True)
        err.print(f"Written: {file}", soft_wrap=True, markup=False)


def say(plan: Plan) -> None:
    """What a later run of a batch is going to do."""
    parts = {
        "answered earlier": plan.answered,
        "failed earlier (--retry-failed asks again)": plan.failed,
        "to ask again": plan.again,
        "changed": plan.changed,
        "new": plan.new,
        "unfit to be asked about": plan.bad,
    }
    said = ", ".join(f"{number:,} {what}" for what, number in parts.items() if number)
    err.print(f"{sum(parts.values()):,} documents: {said}", soft_wrap=True, markup=False)


def say_who_is_there(out: Path) -> Callable[[str], None]:
    """To be called again and again while another process works on the results."""
    said_at = 0.0

    def say_so(process: str) -> None:
        nonlocal said_at
        if time.monotonic() - said_at >= _SAY_EVERY_S or not said_at:
            said_at = time.monotonic()
            lines = sum(1 for _ in out.open("rb")) if out.exists() else 0
            err.print(f"Process {process} works on {out} ({lines:,} lines); waiting for it.", soft_wrap=True)

    return say_so


def say_what_it_takes(
    client: Client, documents: DocumentSet, template: PromptTemplate, fields: Mapping[str, Any]
) -> None:
    """A batch before it is asked: its first prompts, tokens, cost."""
    questions = Questions(client, "dry-run", template, fields)
    bad: list[str] = []
    prompts = 0

    def texts() -> Iterator[str]:
        nonlocal prompts
        for document in documents:
            try:
                jobs = [question.job for question in questions.about(document)]
            except BadDocument as error:
                bad.append(f"{document.label}: {error}")
                continue
            for job in jobs:
                prompts += 1
                text = "\n\n".join(message.text for message in job.conversation)
                if prompts <= _SHOWN:
                    put(f"--- {document.label}\n{text[:_SHOWN_CHARACTERS]}{'...' * (len(text) > _SHOWN_CHARACTERS)}\n")
                yield text

    job = client.check(PromptJob.parse({"prompt": "-", **fields}))
    profile = client.settings.profiles.get(job.profile or "")
    model = job.model or (profile and profile.model) or client.settings.endpoints[str(job.endpoint)].model
    instructions = job.instructions or (profile and profile.instructions) or ""
    _put_estimate(
        len(documents),
        estimate(texts(), model, client.settings.prices, instructions=instructions, lane=job.lane),
        bad,
    )


def _put_estimate(documents: int, takes: Estimate, bad: list[str]) -> None:
    rows = {
        "documents": f"{documents:,}",
        "unfit": f"{len(bad):,}" if bad else "",
        "prompts": f"{takes.documents:,}",
        "tokens": f"{takes.prompt_tokens:,} to read, {takes.counted_by}; what is written comes on top of it",
        "cost": f"{takes.least} to read" + (f", {takes.most} at most" if takes.most else ""),
    }
    for name, value in rows.items():
        if value:
            put(f"{name:<12} {value}")
    for reason in bad[:_SHOWN]:
        put(f"unfit: {reason}")
    err.print("Nothing was asked (--dry-run).")


def detach_from_here(batch: str, out: Path, local: bool) -> None:
    """Leaves the command that we are to a process of its own."""
    if local:
        raise typer.BadParameter("--local ends with its command: leave --detach out, or use a Redis that stays")
    log = out.with_name(out.name + ".log")
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "threadmill", *(each for each in sys.argv[1:] if each != "--detach")]
    with log.open("ab") as file:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True)
    put(batch)
    err.print(
        f"Process {process.pid} goes on in the background and writes {out}, its log is {log}.\n"
        f"To see how far it is: threadmill attach {batch} | to stop it: threadmill cancel --batch {batch}",
        soft_wrap=True,
        markup=False,
    )
