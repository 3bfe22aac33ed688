"""Estimates the tokens of a call before it is made, and reads what a job has used. PURE."""

from collections.abc import Mapping
from typing import Any, Literal

from threadmill.job.result import Usage
from threadmill_worker.drivers.requests.job_spec import JobSpec
from threadmill_worker.lifecycle.actions import Action, SubmitOutputs
from threadmill_worker.lifecycle.progress import Progress

#: What a server counts: the setting `tokens_counted`.
Counted = Literal["total", "input", "output"]

#: English text; help.openai.com/en/articles/4936856.
CHARACTERS_PER_TOKEN = 4

#: A photograph in high detail: platform.openai.com/docs/guides/images-vision#calculating-costs.
IMAGE_TOKENS = 765

#: The answer of a job without `max_completion_tokens`.
ANSWER_TOKENS = 500

#: A server may report nonsense, which must not shut its pool: a job counts as having used no more than this.
MOST_TOKENS = 10_000_000

_FIELDS: Mapping[Counted, str] = {"total": "total_tokens", "input": "prompt_tokens", "output": "completion_tokens"}


def prompt_tokens(spec: JobSpec) -> int:
    """Returns about how many tokens the first run of a job reads. Its files and what its assistant says are unknown."""
    job = spec.job
    images = sum(len(message.images) for message in job.conversation)
    characters = sum(len(message.text) for message in job.conversation) + _characters(
        (
            spec.instructions,
            job.additional_instructions,
            spec.tools,
            job.response_format,
            spec.kept.transcript.items if spec.kept and spec.kept.transcript else None,
        )
    )
    return characters // CHARACTERS_PER_TOKEN + images * IMAGE_TOKENS


def call_tokens(prompt: int, spec: JobSpec, action: Action, progress: Progress, counted: Counted) -> int:
    """Returns about how many tokens a call uses, of those that the server counts. `prompt`: of the job's first run."""
    read = prompt
    if isinstance(action, SubmitOutputs):
        last = next(reversed(progress.cost.by_run.values()), Usage())  # the model reads all of it again
        read = max(prompt, last.total_tokens) + _characters(action.outputs) // CHARACTERS_PER_TOKEN
    written = spec.job.max_completion_tokens or ANSWER_TOKENS
    return {"total": read + written, "input": read, "output": written}[counted]


def tokens_used(progress: Progress, counted: Counted) -> int | None:
    """Returns the tokens that a job has used, of those that the server counts; None if that is not known."""
    usage = progress.cost.usage
    if progress.runs and (usage.unreported or not usage.total_tokens):
        return None
    return min(MOST_TOKENS, int(getattr(usage, _FIELDS[counted])))


def _characters(value: Any) -> int:
    """Returns the number of characters in a JSON value, without its punctuation."""
    if isinstance(value, str):
        return IMAGE_TOKENS * CHARACTERS_PER_TOKEN if value.startswith("data:") else len(value)
    if isinstance(value, Mapping):
        return sum(len(name) + _characters(each) for name, each in value.items())
    return sum(map(_characters, value)) if isinstance(value, list | tuple) else 0
