"""`threadmill batch --dry-run`: what would be asked, and what that takes."""

from collections.abc import Iterator, Mapping
from typing import Any

from threadmill.batch.estimate import Asked, Estimate, estimate
from threadmill.batch.questions import Questions
from threadmill.cli.app import err, put
from threadmill.client import Client
from threadmill.documents.source import DocumentSet
from threadmill.documents.template import BadDocument, PromptTemplate
from threadmill.job import PromptJob
from threadmill.settings import Settings

_SHOWN = 3
_SHOWN_CHARACTERS = 600


def say_what_it_takes(
    client: Client, documents: DocumentSet, template: PromptTemplate, fields: Mapping[str, Any]
) -> None:
    """A batch before it is asked: its first prompts, tokens, cost."""
    questions = Questions(client, "dry-run", template, fields)
    bad: list[str] = []
    prompts = 0

    def asked() -> Iterator[Asked]:
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
                yield _asked(client.settings, job, text)

    takes = estimate(asked(), client.settings.prices, lane=fields.get("lane"))
    _put_estimate(len(documents), takes, bad)


def _asked(settings: Settings, job: PromptJob, text: str) -> Asked:
    profile = settings.profiles.get(job.profile or "")
    model = job.model or (profile and profile.model) or settings.endpoints[str(job.endpoint)].model
    instructions = job.instructions or (profile and profile.instructions) or ""
    return Asked(text, model, instructions, job.max_completion_tokens)


def _put_estimate(documents: int, takes: Estimate, bad: list[str]) -> None:
    rows = {
        "documents": f"{documents:,}",
        "unreadable": f"{len(bad):,}" if bad else "",
        "prompts": f"{takes.prompts:,}",
        "tokens": f"{takes.prompt_tokens:,} of prompts, {takes.counted_by}; answers come on top",
        "cost": f"prompts: {takes.least}" + (f"; with the longest answers: {takes.most}" if takes.most else ""),
    }
    for name, value in rows.items():
        if value:
            put(f"{name:<12} {value}")
    for reason in bad[:_SHOWN]:
        put(f"unreadable: {reason}")
    err.print("Nothing was asked (--dry-run).")
