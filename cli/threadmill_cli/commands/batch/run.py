"""`threadmill batch run`: asks a prompt about each document and writes the answers to a file."""

from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import typer

from threadmill.batch.file_lock import file_lock, lock_path
from threadmill.batch.job_builder import batch_name
from threadmill.batch.plan import MAX_IN_FLIGHT, BatchOptions
from threadmill.batch.progress import BatchProgress
from threadmill.batch.results import ResultsFile
from threadmill.batch.run import Batch
from threadmill.batch.spending import MAX_ENDPOINT_FAILURES, BatchLimits
from threadmill.client import Client
from threadmill.documents import choice
from threadmill.documents.find import find_files
from threadmill.documents.source import DocumentSet, DocumentSource
from threadmill.job.prompt import PromptJob
from threadmill.names import NAME_RULE, is_name
from threadmill.settings.settings import Settings
from threadmill_cli.app import AsJson, Assistant, Endpoint, Exit, LocalFlag, TimeoutS, note, without_none, write_json
from threadmill_cli.command import examples
from threadmill_cli.commands.batch.background import lock_notifier, log_path, run_in_background
from threadmill_cli.commands.batch.document_options import (
    AsRequests,
    AsRows,
    Attach,
    Encoding,
    IdColumn,
    MaxChars,
    Paths,
    Split,
    attached_files,
    local_files,
    without,
)
from threadmill_cli.commands.batch.dry_run import show_forecast
from threadmill_cli.commands.batch.export import beside, targets, write_beside
from threadmill_cli.commands.batch.options import (
    Again,
    Concurrent,
    Detach,
    DryRun,
    Formats,
    Limit,
    MaxCost,
    MaxEndpointFailures,
    MaxFailures,
    MaxInFlight,
    MaxTotalTokens,
    Name,
    Ordered,
    Out,
    RetryFailed,
    Sample,
)
from threadmill_cli.commands.batch.overwriting import confirm_overwriting, own, refuse_inputs
from threadmill_cli.commands.job_options import (
    CallbackSecret,
    CallbackShape,
    CallbackTo,
    CodeFiles,
    Delay,
    Files,
    Images,
    Instructions,
    JsonSchema,
    Lane,
    MaxTokens,
    Model,
    Priority,
    Profile,
    Seed,
    ServiceTier,
    StartAt,
    Temperature,
    Tenant,
    Tools,
    files_for,
    order_fields,
    read_template,
    receiver_of,
    schema_in,
)
from threadmill_cli.environment import open_environment, with_file_roots
from threadmill_cli.rendering.confirm import Yes
from threadmill_cli.rendering.progress import Reporter, show_plan, show_summary, summary


def add_to(group: typer.Typer) -> None:
    group.command(
        epilog=examples(
            "threadmill batch reports/ --prompt 'Summarise: {{ text }}' --out summaries.jsonl",
            "threadmill batch 'notes/**/*.md' --prompt-file prompt.txt --endpoint davinci",
            "threadmill batch claims.csv --rows --prompt 'Is {{ amount }} too much for {{ what }}?'",
            "threadmill batch claims/ --prompt 'Is it covered? {{ text }}' --file policy.pdf",
            "threadmill batch mails/ --max-cost 5 --dry-run",
            "threadmill batch archive/ --priority low --concurrent 20 --delay 2h",
            "threadmill batch examples/documents --endpoint emulator --local",
        )
    )(run)


def run(
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
            help="Jinja2 template with {{ text }}, {{ name }}, {{ path }} and, of rows, their columns. "
            "Default: Summarise: {{ text }}"
        ),
    ] = None,
    prompt_file: Annotated[Path | None, typer.Option(help="Read the template from this file.")] = None,
    images: Images = None,
    files: Files = None,
    code_files: CodeFiles = None,
    endpoint: Endpoint = None,
    assistant: Assistant = None,
    profile: Profile = None,
    instructions: Instructions = None,
    model: Model = None,
    max_tokens: MaxTokens = None,
    temperature: Temperature = None,
    tools: Tools = None,
    json_schema: JsonSchema = None,
    seed: Seed = None,
    lane: Lane = None,
    service_tier: ServiceTier = None,
    timeout_s: TimeoutS = None,
    priority: Priority = None,
    tenant: Tenant = None,
    delay: Delay = None,
    start_at: StartAt = None,
    callback_url: CallbackTo = None,
    callback_secret_env: CallbackSecret = None,
    callback_format: CallbackShape = None,
    concurrent: Concurrent = None,
    out: Out = Path("results.jsonl"),
    ordered: Ordered = False,
    formats: Formats = None,
    name: Name = None,
    retry_failed: RetryFailed = False,
    again: Again = False,
    yes: Yes = False,
    max_cost: MaxCost = None,
    max_total_tokens: MaxTotalTokens = None,
    max_failures: MaxFailures = None,
    max_endpoint_failures: MaxEndpointFailures = MAX_ENDPOINT_FAILURES,
    max_in_flight: MaxInFlight = MAX_IN_FLIGHT,
    dry_run: DryRun = False,
    detach: Detach = False,
    local: LocalFlag = False,
    as_json: AsJson = False,
) -> None:
    """Ask a prompt about each document, and write each answer to a file as it arrives.

    Run the same command again to resume: only documents that are missing or have changed are asked about.
    """
    if name is not None and not is_name(name):
        raise typer.BadParameter(f"{name!r:.100} cannot be the name of a batch: {NAME_RULE}", param_hint="--name")
    source = DocumentSource(rows, requests, id_column, encoding, attach, max_chars, split)
    prompt = source.prompt(_prompt(prompt, prompt_file))
    found, template = source.open(paths, prompt.replace("\\n", "\n"))
    other_forms = beside(out, formats or ())
    outputs = [out, *targets(other_forms)]
    found = without(
        found, [file for file in (*own(outputs, out), log_path(out), lock_path(out)) if str(file) not in paths]
    )
    texts = (document.path for document in found) if isinstance(found, list) else find_files(paths)
    refuse_inputs(
        outputs, chain(texts, local_files(prompt_file, json_schema, *images or (), *files or (), *code_files or ()))
    )
    documents = _chosen(found, limit, sample)
    settings = Settings.load()
    fields = without_none(
        images=images or None,
        files=files_for(files, code_files),
        endpoint=settings.endpoint_name(endpoint),
        assistant=assistant,
        profile=profile,
        instructions=instructions,
        model=model,
        max_completion_tokens=max_tokens,
        temperature=temperature,
        tools=tools or None,
        response_format=schema_in(json_schema),
        seed=seed,
        lane=lane,
        service_tier=service_tier,
        timeout_s=timeout_s,
    )
    order = order_fields(priority, tenant, delay, start_at)
    probe = PromptJob.parse({**fields, **order, "prompt": "probe", **({"model": "its own"} if requests else {})})
    if local:
        settings = with_file_roots(settings, probe, attached_files(found))
    Client(settings).check(probe)
    limits = BatchLimits(max_cost, max_total_tokens, max_failures, max_endpoint_failures)
    callback = receiver_of(callback_url, callback_secret_env, callback_format)
    options = BatchOptions(limits, max_in_flight, concurrent, retry_failed, restart=again, callback=callback)
    options.limits.check(settings.prices)
    named = name or batch_name(out.stem, str(out.absolute()), prompt, fields)
    if dry_run:
        show_forecast(Client(settings), documents, template, fields)
        return
    confirm_overwriting(outputs if again else outputs[1:], out, yes=yes)
    if detach:
        run_in_background(named, paths, out, local)
        return
    with (
        file_lock(out, lock_notifier(out)),
        ResultsFile(out, named, force=again, ordered=ordered) as results,
        open_environment(settings, local, fields["endpoint"]) as env,
    ):
        client = Client(env.settings)
        fields |= _from_now(order, client.store.now())
        batch = Batch(client, named, template, fields, results, check=env.check, options=options)
        if results.previous:
            show_plan(batch.plan(documents))
        progress = _run(batch, documents, out, local)
    write_beside(out, other_forms)
    show_summary(progress, out)
    if as_json:
        write_json(summary(progress, named, out))
    if progress.failed or progress.kept_failed or progress.left:
        raise typer.Exit(Exit.FAILED)


def _prompt(prompt: str | None, file: Path | None) -> str | None:
    if file is None:
        return prompt
    if prompt is not None:
        raise typer.BadParameter("--prompt and --prompt-file both give the prompt; leave one of them out")
    return read_template(file, "--prompt-file")


def _from_now(order: dict[str, Any], now: datetime) -> dict[str, Any]:
    """Counts a delay from now for all documents, because most of a large batch are enqueued later."""
    if "delay_s" not in order:
        return order
    others = {name: value for name, value in order.items() if name != "delay_s"}
    return others | {"start_at": now + timedelta(seconds=order["delay_s"])}


def _chosen(documents: DocumentSet, limit: int | None, sample: int | None) -> DocumentSet:
    if limit is not None and sample is not None:
        raise typer.BadParameter("give --limit or --sample, not both")
    if sample is not None:
        return choice.DocumentSample(documents, sample)
    return documents if limit is None else choice.FirstDocuments(documents, limit)


def _run(batch: Batch, documents: DocumentSet, out: Path, local: bool) -> BatchProgress:
    """Runs the batch and shows its progress. On Ctrl-C, says how to resume and exits with 130."""
    try:
        with Reporter(len(documents)) as reporter:
            return batch.run(documents, len(documents), reporter.update)
    except KeyboardInterrupt:
        progress = batch.progress
        done = f"{progress.done:,} of {progress.total:,} documents are in {out}, {progress.left:,} are left."
        note(f"Stopped: {done}\nRun the same command again to resume.")
        if not local:
            note(f"Workers continue with the jobs in the queue; to cancel these: threadmill batch cancel {batch.name}")
        raise typer.Exit(Exit.INTERRUPTED) from None
