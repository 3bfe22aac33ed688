"""`threadmill submit`: one job, from options or a file."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from threadmill.cli.app import (
    AsJson,
    Assistant,
    Endpoint,
    LocalFlag,
    TimeoutS,
    err,
    given,
    put,
    put_json,
    started,
    with_own_files,
)
from threadmill.cli.follow import follow_job
from threadmill.cli.jobs import show_result
from threadmill.cli.options import (
    CodeFiles,
    Files,
    Images,
    Instructions,
    JsonSchema,
    Lane,
    MaxTokens,
    Model,
    Profile,
    Temperature,
    Tools,
    files_for,
    read_json,
    schema_in,
)
from threadmill.client import Client
from threadmill.job import PromptJob
from threadmill.settings import Settings


def add_to(app: typer.Typer) -> None:
    app.command(
        epilog='Examples: threadmill submit "Why is the sky blue?" --wait | '
        "threadmill submit - < prompt.txt | threadmill submit 'What is wrong here?' --image screen.png --wait | "
        "threadmill submit 'Who signed it?' --file contract.pdf | threadmill submit 'A story' --follow | "
        "threadmill submit --job job.json"
    )(submit)


def submit(
    prompt: Annotated[str | None, typer.Argument(help="The prompt; - reads it from stdin.", show_default=False)] = None,
    job_file: Annotated[
        Path | None, typer.Option("--job", metavar="FILE", help="A JSON file with the job's fields; - reads stdin.")
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
    lane: Lane = None,
    thread: Annotated[str | None, typer.Option(help="Go on with this remote thread.")] = None,
    keep_thread: Annotated[bool, typer.Option("--keep-thread", help="Leave the thread for later jobs.")] = False,
    include_steps: Annotated[
        bool, typer.Option("--include-steps", help="Bring what the run did in the result's `steps`.")
    ] = False,
    stream: Annotated[bool, typer.Option("--stream", help="Have text come as it is written.")] = False,
    key: Annotated[str | None, typer.Option(help="Idempotency key: the same key is the same job.")] = None,
    timeout_s: TimeoutS = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the answer and print it.")] = False,
    follow: Annotated[
        bool, typer.Option("--follow", help="Print the answer as it is written, and what happens meanwhile.")
    ] = False,
    local: LocalFlag = False,
    as_json: AsJson = False,
) -> None:
    """Enqueue one prompt; print its job id, or with --wait, --follow or --local its answer."""
    fields = read_json(job_file, "a job's fields") if job_file else {}
    if prompt is not None:
        fields["prompt"] = sys.stdin.read() if prompt == "-" else prompt
    fields |= given(
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
        lane=lane,
        thread=thread,
        keep_thread=keep_thread or None,
        include_steps=include_steps or None,
        stream=stream or follow or None,
        key=key,
        timeout_s=timeout_s,
    )
    settings, job = Settings.load(), PromptJob.parse(fields)
    if local:
        settings = with_own_files(settings, job)
    job = Client(settings).check(job)
    with started(settings, local, job.endpoint) as here:
        client = Client(here.settings)
        handle = client.enqueue(job)
        if follow:
            follow_job(client, handle.id, as_json)
        elif wait or local:
            err.print(f"job {handle.id} is {handle.state}", soft_wrap=True)
            show_result(client.wait(handle.id), as_json)
        elif as_json:
            put_json({"job_id": handle.id, "state": handle.state, "is_new": handle.is_new})
        else:
            put(handle.id)
