"""`--dry-run` of batches and reports: shows prompts, and estimates tokens and cost."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from threadmill.batch.estimate import Estimate, EstimatedPrompt, estimate
from threadmill.batch.job_builder import JobBuilder
from threadmill.client import Client
from threadmill.documents.errors import BadDocument
from threadmill.documents.source import DocumentSet
from threadmill.documents.template import PromptTemplate
from threadmill.job.prompt import PromptJob
from threadmill.settings.settings import Settings
from threadmill_cli.app import note, write_line

_SHOWN = 3
_SHOWN_CHARACTERS = 600


@dataclass(frozen=True)
class Forecast:
    """The estimated tokens and cost of a document set."""

    documents: int
    unreadable: tuple[str, ...]  #: label and reason of each unreadable document
    estimate: Estimate

    @property
    def rows(self) -> dict[str, str]:
        """The numbers as text, by name."""
        takes = self.estimate
        rows = {
            "documents": f"{self.documents:,}",
            "unreadable": f"{len(self.unreadable):,}" if self.unreadable else "",
            "prompts": f"{takes.prompts:,}",
            "tokens": f"{takes.prompt_tokens:,} of prompts, {takes.counted_by}; answers come on top",
            "cost": f"prompts: {takes.least}" + (f"; with the longest answers: {takes.most}" if takes.most else ""),
        }
        return {name: value for name, value in rows.items() if value}


def show_forecast(client: Client, documents: DocumentSet, template: PromptTemplate, fields: Mapping[str, Any]) -> None:
    """Shows the first prompts of a batch, its tokens and cost."""
    write_forecast(forecast(client, documents, template, fields, write_prompt))
    note("Nothing was asked (--dry-run).")


def write_prompt(label: str, text: str) -> None:
    write_line(f"--- {label}\n{text}\n")


def write_forecast(made: Forecast) -> None:
    for name, value in made.rows.items():
        write_line(f"{name:<12} {value}")
    for reason in made.unreadable[:_SHOWN]:
        write_line(f"unreadable: {reason}")


def forecast(
    client: Client,
    documents: DocumentSet,
    template: PromptTemplate,
    fields: Mapping[str, Any],
    show: Callable[[str, str], None],
) -> Forecast:
    """Reads all documents and enqueues nothing. Calls `show` with label and beginning of the first prompts."""
    builder = JobBuilder(client, "dry-run", template, fields)
    bad: list[str] = []
    prompts = 0

    def prompts_to_estimate() -> Iterator[EstimatedPrompt]:
        nonlocal prompts
        for document in documents:
            try:
                jobs = [each.job for each in builder.build(document)]
            except BadDocument as error:
                bad.append(f"{document.label}: {error}")
                continue
            for job in jobs:
                prompts += 1
                text = "\n\n".join(message.text for message in job.conversation)
                if prompts <= _SHOWN:
                    show(document.label, text[:_SHOWN_CHARACTERS] + "..." * (len(text) > _SHOWN_CHARACTERS))
                yield _estimated_prompt(client.settings, job, text)

    estimated = estimate(prompts_to_estimate(), client.settings.prices)
    return Forecast(len(documents), tuple(bad), estimated)


def _estimated_prompt(settings: Settings, job: PromptJob, text: str) -> EstimatedPrompt:
    endpoint = settings.endpoints[str(job.endpoint)]
    instructions = settings.instructions_of(job, endpoint) or ""
    model = settings.model_of(job, endpoint)
    return EstimatedPrompt(text, model, instructions, job.max_completion_tokens, job.priced_as)
