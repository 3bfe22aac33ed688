"""`threadmill submit`: enqueues one job, from options or a file."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from threadmill.client import Client
from threadmill.errors import InvalidJob
from threadmill.job.prompt import PromptJob
from threadmill.settings.settings import Settings
from threadmill_cli.app import (
    AsJson,
    Assistant,
    Endpoint,
    LocalFlag,
    TimeoutS,
    err,
    without_none,
    write_json,
    write_line,
)
from threadmill_cli.command import examples
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
    read_json,
    schema_in,
)
from threadmill_cli.commands.jobs.follow import follow_job, interruptible
from threadmill_cli.commands.jobs.results import show_result
from threadmill_cli.environment import open_environment, with_file_roots
from threadmill_cli.rendering.waiting import wait_for


def add_to(app: typer.Typer) -> None:
    app.command(
        epilog=examples(
            'threadmill submit "Why is the sky blue?" --wait',
            "threadmill submit - < prompt.txt",
            "threadmill submit 'What is wrong here?' --image screen.png --wait",
            "threadmill submit 'Who signed it?' --file contract.pdf --wait",
            "threadmill submit 'Tell me a story' --follow",
            "threadmill submit 'Is it up?' --priority high --wait",
            "threadmill submit 'What happened today?' --start-at 2026-11-29T18:00+08:00",
            "threadmill submit 'Is it up?' --callback-url https://shop.example/hook --callback-secret-env HOOK_SECRET",
            "threadmill submit --job job.json",
        )
    )(submit)


def submit(
    prompt: Annotated[
        str | None, typer.Argument(metavar="PROMPT", help="The prompt; - reads it from stdin.", show_default=False)
    ] = None,
    job_file: Annotated[
        Path | None,
        typer.Option("--job", metavar="FILE", help="A JSON file with the job's fields; - reads it from stdin."),
    ] = None,
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
    thread: Annotated[str | None, typer.Option(metavar="ID", help="Continue this remote thread.")] = None,
    keep_thread: Annotated[bool, typer.Option("--keep-thread", help="Keep the thread for later jobs.")] = False,
    include_steps: Annotated[
        bool, typer.Option("--include-steps", help="Add what the run did to the result, as `steps`.")
    ] = False,
    stream: Annotated[bool, typer.Option("--stream", help="Let followers see the text as it is written.")] = False,
    key: Annotated[
        str | None, typer.Option(metavar="KEY", help="Idempotency key: a second job with this key is not enqueued.")
    ] = None,
    timeout_s: TimeoutS = None,
    priority: Priority = None,
    tenant: Tenant = None,
    delay: Delay = None,
    start_at: StartAt = None,
    callback_url: CallbackTo = None,
    callback_secret_env: CallbackSecret = None,
    callback_format: CallbackShape = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the answer and print it.")] = False,
    follow: Annotated[
        bool, typer.Option("--follow", help="Print the answer as it is written, and what the run does.")
    ] = False,
    local: LocalFlag = False,
    as_json: AsJson = False,
) -> None:
    """Enqueue one prompt and print its job id; with --wait, --follow or --local print its answer."""
    if prompt == "-" and str(job_file) == "-":
        raise typer.BadParameter("stdin can hold the prompt or the job, not both")
    fields = read_json(job_file, "a job's fields") if job_file else {}
    if prompt is not None:
        fields["prompt"] = _prompt(prompt)
    fields |= without_none(
        images=images or None,
        files=files_for(files, code_files),
        endpoint=endpoint,
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
        thread=thread,
        keep_thread=keep_thread or None,
        include_steps=include_steps or None,
        stream=stream or follow or None,
        key=key,
        timeout_s=timeout_s,
        callback_url=callback_url,
        callback_secret_env=callback_secret_env,
        callback_format=callback_format,
        **order_fields(priority, tenant, delay, start_at),
    )
    settings, job = Settings.load(), PromptJob.parse(fields)
    if local:
        settings = with_file_roots(settings, job)
    job = Client(settings).check(job)
    with open_environment(settings, local, job.endpoint) as env:
        client = Client(env.settings)
        handle = client.enqueue(job)
        if follow:
            follow_job(client, handle.id, as_json, job.endpoint if local else None)
        elif wait or local:
            err.print(f"job {handle.id} is {handle.state}", soft_wrap=True)
            with interruptible(handle.id, job.endpoint if local else None):
                result = wait_for(client, handle.id, None, env.check)
            show_result(result, as_json)
        elif as_json:
            write_json({"job_id": handle.id, "state": handle.state, "is_new": handle.is_new})
        else:
            write_line(handle.id)


def _prompt(argument: str) -> str:
    """Returns the prompt; reads stdin for `-`. Raises InvalidJob."""
    source = "stdin" if argument == "-" else "PROMPT"
    try:
        text = sys.stdin.buffer.read().decode("utf-8-sig") if argument == "-" else argument
    except UnicodeDecodeError:
        raise InvalidJob("stdin is not UTF-8 text; convert it, with iconv for instance") from None
    if not text.strip():
        raise InvalidJob(f"{source} is empty: give the text of the prompt")
    return text
