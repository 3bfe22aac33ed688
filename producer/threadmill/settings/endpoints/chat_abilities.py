"""Checks a job against what Chat Completions has. Every InvalidJob names what to use instead."""

from collections.abc import Iterator

from threadmill.errors import InvalidJob
from threadmill.job.lanes import window_of
from threadmill.job.message import BUILT_IN
from threadmill.job.prompt import PromptJob


def check_chat(name: str, job: PromptJob) -> None:
    """Raises InvalidJob for what servers of Chat Completions lack. `name`: the endpoint's."""
    for field, reason in _lacking(job):
        raise InvalidJob(f"`{field}`: endpoint {name!r} speaks Chat Completions, {reason}")


def _lacking(job: PromptJob) -> Iterator[tuple[str, str]]:
    """Yields the fields that cannot be had, why, and what to use instead."""
    if job.assistant is not None:
        yield "assistant", "whose servers store no assistants; name a `profile`, or a `model` and `instructions`"
    if job.files:
        yield "files", "which takes no files; put their text into the prompt, or name an endpoint of kind `responses`"
    if (tool := _tool_of_a_server(job)) is not None:
        instead = "use function, HTTP and MCP tools, or name an endpoint of kind `responses`"
        yield "tools", f"which has no {tool}; {instead}"
    if any(message.file_ids for message in job.conversation):
        yield "messages", "which has no images by id; give the image's path or URL"
    if window_of(job.lane) is not None:
        yield "lane", f"whose servers do not work in the background, as {job.lane} requires; use flex, or leave it out"
    if job.max_prompt_tokens is not None:
        yield "max_prompt_tokens", "which has none; leave it out, and shorten the prompt if need be"
    if job.truncation and job.truncation.get("type") != "disabled":
        yield "truncation", "which has none; send fewer messages"


def _tool_of_a_server(job: PromptJob) -> str | None:
    """Returns the type of a tool that the server would have to run; None: workers run all tools of the job."""
    for tool in job.tools or ():
        if isinstance(tool, str) and tool in BUILT_IN:
            return tool
        if isinstance(tool, dict) and tool.get("type") != "function":
            return str(tool.get("type"))
    return None
