"""`threadmill batch`: a folder of documents in, an answer per document out."""

from pathlib import Path
from typing import Annotated

import typer

from threadmill.batch.alone import alone_with
from threadmill.batch.plan import MAX_QUEUED, Manner
from threadmill.batch.questions import batch_name
from threadmill.batch.results import ResultsFile
from threadmill.batch.run import Batch
from threadmill.batch.spending import Limits
from threadmill.batch.tally import Tally
from threadmill.cli.app import (
    AsJson,
    Assistant,
    Endpoint,
    Exit,
    LocalFlag,
    TimeoutS,
    err,
    given,
    put_json,
    started,
    with_own_files,
)
from threadmill.cli.background import detach_from_here, say_who_is_there
from threadmill.cli.command import examples
from threadmill.cli.dry_run import say_what_it_takes
from threadmill.cli.export import beside, write_beside
from threadmill.cli.manner import (
    Detach,
    DryRun,
    Force,
    Formats,
    Limit,
    MaxCost,
    MaxFailures,
    MaxQueued,
    MaxTokens,
    Name,
    Ordered,
    Out,
    RetryFailed,
    Sample,
)
from threadmill.cli.options import (
    CodeFiles,
    Files,
    Images,
    JsonSchema,
    Lane,
    Profile,
    Tools,
    files_for,
    read_template,
    schema_in,
)
from threadmill.cli.progress import Reporter, show_plan, show_summary, summary
from threadmill.cli.sources import (
    AsRequests,
    AsRows,
    Attach,
    Encoding,
    IdColumn,
    MaxChars,
    Paths,
    Split,
    own_files,
)
from threadmill.client import Client
from threadmill.documents import choice
from threadmill.documents.source import DocumentSet, Source
from threadmill.job import PromptJob
from threadmill.settings import Settings


def add_to(app: typer.Typer) -> None:
    app.command(
        epilog=examples(
            "threadmill batch reports/ --prompt 'Summarise: {{ text }}' --out summaries.jsonl",
            "threadmill batch 'notes/**/*.md' --prompt-file prompt.txt --endpoint davinci",
            "threadmill batch claims.csv --rows --prompt 'Is {{ amount }} too much for {{ what }}?'",
            "threadmill batch claims/ --prompt 'Is it covered? {{ text }}' --file policy.pdf",
            "threadmill batch mails/ --max-cost 5 --dry-run",
            "threadmill batch examples/documents --endpoint emulator --local",
        )
    )(batch)


def batch(
    paths: Paths,
    rows: AsRows = False,
    id_column: IdColumn = None,
    requests: AsRequests = False,
    encoding: Encoding = None,
    attach: Attach = None,
    max_chars: MaxChars = None,
    split: Split = False,
    limit: Limit = None,
    sample: Sample = None,
    prompt: Annotated[
        str | None,
        typer.Option(
            help="Jinja2 template with {{ text }}, {{ name }}, {{ path }}; of rows: their columns too. "
            "Default: summarise it."
        ),
    ] = None,
    prompt_file: Annotated[Path | None, typer.Option(help="Read the template from a file instead.")] = None,
    images: Images = None,
    files: Files = None,
    code_files: CodeFiles = None,
    endpoint: Endpoint = None,
    assistant: Assistant = None,
    profile: Profile = None,
    instructions: Annotated[str | None, typer.Option(help="In place of the assistant's own.")] = None,
    tools: Tools = None,
    json_schema: JsonSchema = None,
    lane: Lane = None,
    timeout_s: TimeoutS = None,
    out: Out = Path("results.jsonl"),
    ordered: Ordered = False,
    formats: Formats = None,
    name: Name = None,
    retry_failed: RetryFailed = False,
    force: Force = False,
    max_cost: MaxCost = None,
    max_tokens: MaxTokens = None,
    max_failures: MaxFailures = None,
    max_queued: MaxQueued = MAX_QUEUED,
    dry_run: DryRun = False,
    detach: Detach = False,
    local: LocalFlag = False,
    as_json: AsJson = False,
) -> None:
    """Ask a prompt about each document, and write down the answers as they come.

    The same command again goes on where it stopped: it asks only about what is missing or changed.
    """
    if prompt_file is not None:
        if prompt is not None:
            raise typer.BadParameter("--prompt and --prompt-file both give the prompt; leave one of them out")
        prompt = read_template(prompt_file, "--prompt-file")
    source = Source(rows, requests, id_column, encoding, attach, max_chars, split)
    prompt = source.prompt(prompt)
    found, template = source.open(paths, prompt.replace("\\n", "\n"))
    documents = _chosen(found, limit, sample)
    settings = Settings.load()
    fields = given(
        images=images or None,
        files=files_for(files, code_files),
        endpoint=settings.endpoint_name(endpoint),
        assistant=assistant,
        profile=profile,
        instructions=instructions,
        tools=tools or None,
        response_format=schema_in(json_schema),
        lane=lane,
        timeout_s=timeout_s,
    )
    probe = PromptJob.parse({**fields, "prompt": "probe", **({"model": "its own"} if requests else {})})
    if local:
        settings = with_own_files(settings, probe, own_files(found))
    Client(settings).check(probe)
    manner = Manner(Limits(max_cost, max_tokens, max_failures), max_queued, retry_failed, anew=force)
    manner.limits.check(settings.prices)
    named = name or batch_name(out.stem, str(out.absolute()), prompt, fields)
    other_forms = beside(out, formats or ())
    if dry_run:
        say_what_it_takes(Client(settings), documents, template, fields)
        return
    if detach:
        detach_from_here(named, paths, out, local)
        return
    with (
        alone_with(out, say_who_is_there(out)),
        ResultsFile(out, named, force=force, ordered=ordered) as results,
        started(settings, local, fields["endpoint"]) as here,
    ):
        run = Batch(Client(here.settings), named, template, fields, results, check=here.check, manner=manner)
        if results.earlier:
            show_plan(run.plan(documents))
        try:
            with Reporter(len(documents)) as reporter:
                tally = run.run(documents, len(documents), reporter.update)
        except KeyboardInterrupt:
            _say_how_to_go_on(run.tally, named, out, local)
            raise typer.Exit(Exit.INTERRUPTED) from None
    write_beside(out, other_forms)
    show_summary(tally, out)
    if as_json:
        put_json(summary(tally, named, out))
    if tally.failed or tally.kept_failed or tally.left:
        raise typer.Exit(Exit.FAILED)


def _chosen(documents: DocumentSet, limit: int | None, sample: int | None) -> DocumentSet:
    if limit is not None and sample is not None:
        raise typer.BadParameter("give --limit or --sample, not both")
    if sample is not None:
        return choice.Sample(documents, sample)
    return documents if limit is None else choice.First(documents, limit)


def _say_how_to_go_on(tally: Tally, batch: str, out: Path, local: bool) -> None:
    lines = [f"Stopped: {tally.done} of {tally.total} documents are in {out}, {tally.left} are left."]
    lines.append("Run the same command again to go on.")
    if not local:
        lines.append(f"Workers go on with what is enqueued; to give it up: threadmill cancel --batch {batch}")
    err.print("\n".join(lines), soft_wrap=True, markup=False)
