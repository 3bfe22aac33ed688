"""Builds the report of a night: asks about each document, then reduces the answers to one summary.

Each step is a batch with its results in the folder of the night, so that a resumed report never asks a question twice.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import count
from pathlib import Path
from typing import Any

from threadmill.batch.plan import BatchOptions
from threadmill.batch.progress import BatchProgress
from threadmill.batch.results import ResultsFile, read_lines
from threadmill.batch.run import Batch
from threadmill.batch.spending import BatchLimits, Spending
from threadmill.client import Client
from threadmill.documents.document import Document
from threadmill.documents.source import DocumentSet
from threadmill.errors import ThreadmillError
from threadmill.job.result import JobState
from threadmill.reports.content.grouping import group_answers, shorten
from threadmill.reports.content.report import Report, Section
from threadmill.reports.content.sections import failure_of, missing_section, section_of
from threadmill.reports.definitions.definition import ReportDefinition
from threadmill.reports.definitions.tables import StepPrompt
from threadmill.reports.inputs import DatedTemplate, documents_of, map_template, reduce_template

#: Called after each change with the step and the progress of its batch.
Watch = Callable[[str, BatchProgress], None]


class ReportFailed(ThreadmillError):
    """The report cannot be built. The message has the reason."""


@dataclass(frozen=True)
class AnswerGroup(Document):
    """A group of answers to reduce. `path` names the step and the number of the group."""

    pieces: tuple[str, ...]  #: the answers, each with a heading

    def variables(self) -> dict[str, Any]:
        return {"text": "\n\n".join(self.pieces), "answers": list(self.pieces)}


class ReportBuilder:
    """Builds the report of one night. `folder` is for results, `label` names the batches.

    `check` is called about once a second, and can raise to stop.
    """

    def __init__(
        self,
        client: Client,
        definition: ReportDefinition,
        night: date,
        *,
        folder: Path,
        label: str,
        watch: Watch,
        check: Callable[[], None],
    ) -> None:
        self._client = client
        self._definition = definition
        self._night = night
        self._folder = folder
        self._label = label
        self._watch = watch
        self._check = check
        self._spending = Spending(client.settings.prices)

    def build(self, begun_at: datetime) -> Report:
        """Returns the report. Raises ReportFailed, and what `check` raises."""
        definition = self._definition
        documents = documents_of(definition, self._night)
        sections = self._sections(documents)
        failed = [section for section in sections if section.failure]
        if not definition.may_publish(len(failed), len(sections)):
            named = "; ".join(f"{each.path}: {each.failure.message}" for each in failed[:3] if each.failure)
            raise ReportFailed(
                f"{len(failed)} of {len(sections)} documents failed, and publish_if_failed_at_most is "
                f"{definition.publish_if_failed_at_most}: {named}{'; ...' if len(failed) > 3 else ''} "
                f"(all in {self._folder / 'map.jsonl'})"
            )
        summary = self._reduce([section for section in sections if not section.failure])
        made_at = datetime.now(definition.zone)
        return Report(
            name=definition.name,
            title=definition.title_of(self._night),
            night=self._night,
            made_at=made_at,
            summary=summary,
            sections=tuple(sections),
            usage=self._spending.usage,
            cost=self._spending.cost.amount,
            currency=self._spending.cost.currency,
            models=tuple(dict.fromkeys(part.model for part in self._spending.by_model if part.model)),
            seconds=(made_at - begun_at).total_seconds(),
        )

    def _sections(self, documents: DocumentSet) -> list[Section]:
        """Asks about all documents, and returns their sections in order."""
        self._folder.mkdir(parents=True, exist_ok=True)
        template = map_template(self._definition, self._night, documents)
        lines = self._run_batch("map", documents, len(documents), self._definition.map, template)
        by_location = {(line["path"], line["name"]): line for line in lines}  # the last line of a changed document
        sections = []
        for location in (document.location for document in documents):
            line = by_location.get((location["path"], location["name"]))
            sections.append(section_of(line) if line else missing_section(location))
        return sections

    def _reduce(self, sections: Sequence[Section]) -> str:
        limits = self._definition.reduce
        pieces = [shorten(f"## {each.name}\n\n{each.text}", limits.at_most_chars // 2) for each in sections]
        for level in count(1):
            groups = group_answers(pieces, [len(piece) for piece in pieces], limits.at_most, limits.at_most_chars)
            answers = self._reduce_level(level, groups)
            if len(groups) == 1:
                return answers[0]
            pieces = [
                group[0] if len(group) == 1 else shorten(f"## Part {number}\n\n{answer}", limits.at_most_chars // 2)
                for number, (group, answer) in enumerate(zip(groups, answers, strict=True), 1)
            ]
        raise AssertionError("levels have no end")

    def _reduce_level(self, level: int, groups: Sequence[Sequence[str]]) -> list[str]:
        """Returns an answer per group. A group of one is its own answer, unless it is the last group."""
        step = f"reduce-{level}"
        to_reduce = {
            number: AnswerGroup(Path(f"{step}/{number}"), tuple(group))
            for number, group in enumerate(groups)
            if len(group) > 1 or len(groups) == 1
        }
        template = reduce_template(self._definition, self._night)
        lines = self._run_batch(step, list(to_reduce.values()), len(to_reduce), self._definition.reduce, template)
        by_path = {line["path"]: line for line in lines}
        answers = []
        for number, group in enumerate(groups):
            line = by_path[str(to_reduce[number].path)] if number in to_reduce else None
            if line and line["state"] != JobState.SUCCEEDED:
                raise ReportFailed(f"the answers could not be reduced ({step}): {failure_of(line).message}")
            answers.append(line["text"] if line else group[0])
        return answers

    def _run_batch(
        self, step: str, documents: Iterable[Document], total: int, step_prompt: StepPrompt, template: DatedTemplate
    ) -> list[dict[str, Any]]:
        """Runs a batch, and returns the lines of its results."""
        batch, out = f"report.{self._label}.{step}", self._folder / f"{step}.jsonl"
        budget = self._definition.budget
        max_failures = budget.max_failures if step == "map" else None
        limits = BatchLimits(budget.max_cost, budget.max_tokens, max_failures, budget.max_endpoint_failures)
        limits.check(self._client.settings.prices)
        with ResultsFile(out, batch) as results:
            run = Batch(
                self._client,
                batch,
                template,
                self._definition.job_fields(step_prompt),
                results,
                self._check,
                BatchOptions(limits, concurrent=self._definition.concurrent, retry_failed=True),
                self._spending,
            )
            progress = run.run(documents, total, lambda progress: self._watch(f"{self._label}: {step}", progress))
        if progress.stopped:
            raise ReportFailed(f"{step}: {progress.why_stopped}")
        return list(read_lines(out))
