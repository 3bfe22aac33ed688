"""From a definition and a night to the report: each document is asked about, the answers are reduced to one.

Every step is a batch with a name of its own and its results in the folder of the night, so that a call
after an interruption asks only about what is missing.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import count
from pathlib import Path
from typing import Any

from threadmill.batch.plan import BatchOptions
from threadmill.batch.results import ResultsFile, read_lines
from threadmill.batch.run import Batch
from threadmill.batch.spending import BatchLimits, Spending
from threadmill.batch.tally import BatchProgress
from threadmill.client import Client
from threadmill.documents.document import Document
from threadmill.documents.source import DocumentSet
from threadmill.errors import ThreadmillError
from threadmill.reports.definition import Asking, ReportDefinition
from threadmill.reports.grouping import cut, groups
from threadmill.reports.lines import failure_of, missing, section_of
from threadmill.reports.material import DatedTemplate, documents_of, map_template, reduce_template
from threadmill.reports.report import Report, Section
from threadmill.result import JobState

#: Told of each change: which step of which night, and how its batch stands.
Watch = Callable[[str, BatchProgress], None]


class ReportFailed(ThreadmillError):
    """There is no report of this night; the text says why."""


@dataclass(frozen=True)
class Answers(Document):
    """Answers that are reduced to one. `path`: where they stand among those of the report."""

    pieces: tuple[str, ...]  #: each under a heading with its name

    def variables(self) -> dict[str, Any]:
        return {"text": "\n\n".join(self.pieces), "answers": list(self.pieces)}


class Maker:
    """Makes one night. `folder`: for its results; `label`: names its batches; `check`: called about once a second."""

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

    def make(self, begun_at: datetime) -> Report:
        """Raises ReportFailed; what `check` raises goes through."""
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
        """Of all documents, in their order."""
        self._folder.mkdir(parents=True, exist_ok=True)
        template = map_template(self._definition, self._night, documents)
        lines = self._ask("map", documents, len(documents), self._definition.map, template)
        by_place = {(line["path"], line["name"]): line for line in lines}  # the last, where one has changed meanwhile
        sections = []
        for place in (document.location for document in documents):
            line = by_place.get((place["path"], place["name"]))
            sections.append(section_of(line) if line else missing(place))
        return sections

    def _reduce(self, sections: Sequence[Section]) -> str:
        limits = self._definition.reduce
        pieces = [cut(f"## {each.name}\n\n{each.text}", limits.at_most_chars // 2) for each in sections]
        for level in count(1):
            made = groups(pieces, [len(piece) for piece in pieces], limits.at_most, limits.at_most_chars)
            answers = self._reduce_level(level, made)
            if len(made) == 1:
                return answers[0]
            pieces = [
                group[0] if len(group) == 1 else cut(f"## Part {number}\n\n{answer}", limits.at_most_chars // 2)
                for number, (group, answer) in enumerate(zip(made, answers, strict=True), 1)
            ]
        raise AssertionError("levels have no end")

    def _reduce_level(self, level: int, made: Sequence[Sequence[str]]) -> list[str]:
        """An answer for each group; one alone goes up as it is, unless it is the last."""
        step = f"reduce-{level}"
        asked = {
            number: Answers(Path(f"{step}/{number}"), tuple(group))
            for number, group in enumerate(made)
            if len(group) > 1 or len(made) == 1
        }
        template = reduce_template(self._definition, self._night)
        lines = self._ask(step, list(asked.values()), len(asked), self._definition.reduce, template)
        by_path = {line["path"]: line for line in lines}
        answers = []
        for number, group in enumerate(made):
            line = by_path[str(asked[number].path)] if number in asked else None
            if line and line["state"] != JobState.SUCCEEDED:
                raise ReportFailed(f"its answers could not be reduced ({step}): {failure_of(line).message}")
            answers.append(line["text"] if line else group[0])
        return answers

    def _ask(
        self, step: str, documents: Iterable[Document], total: int, asking: Asking, template: DatedTemplate
    ) -> list[dict[str, Any]]:
        """The one place where a batch is run; gives the lines of its results."""
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
                self._definition.job_fields(asking),
                results,
                self._check,
                BatchOptions(limits, retry_failed=True),
                self._spending,
            )
            progress = run.run(documents, total, lambda progress: self._watch(f"{self._label}: {step}", progress))
        if progress.stopped:
            raise ReportFailed(f"{step}: {progress.why_stopped}")
        return list(read_lines(out))
