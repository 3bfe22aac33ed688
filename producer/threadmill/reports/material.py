"""What a night is about: its documents, and the templates that ask about them."""

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from datetime import date
from typing import Any

from threadmill.documents.document import Document
from threadmill.documents.find import find, find_files
from threadmill.documents.rows import Rows
from threadmill.documents.source import DocumentSet, carriers_of
from threadmill.documents.template import BadDocument, PromptTemplate
from threadmill.documents.text import Reading
from threadmill.errors import ThreadmillError
from threadmill.reports.definition import ReportDefinition

#: The variables of a reduction.
ANSWERS: Mapping[str, Any] = {"text": "probe", "answers": ["probe"]}


class NoDocuments(ThreadmillError):
    """A night is about nothing."""


class DatedTemplate(PromptTemplate):
    """One that knows the night and the title too."""

    def __init__(
        self, source: str, sample: Mapping[str, Any], more: Mapping[str, Any], carriers: Collection[str]
    ) -> None:
        self._more = more
        super().__init__(source, {**sample, **more}, carriers=carriers)

    def render(self, variables: Mapping[str, Any]) -> str:
        return super().render({**self._more, **variables})


def documents_of(definition: ReportDefinition, night: date) -> DocumentSet:
    """The document set of a night. Raises NoDocuments, and ThreadmillError for one that cannot be read."""
    paths, skips = definition.paths_of(night), definition.when_empty == "skip"
    documents: DocumentSet = (
        Rows(find_files(paths, may_be_empty=skips), definition.id_column, encoding=definition.encoding)
        if definition.rows
        else find(paths, Reading(definition.encoding), attach=definition.attach, may_be_empty=skips)
    )
    if next(iter(documents), None) is None:  # to count rows takes all of them
        raise NoDocuments(f"no documents in {', '.join(paths)}")
    return documents


def check_prompts(definition: ReportDefinition, documents: Iterable[Document]) -> None:
    """Raises BadTemplate."""
    more = {"date": date(2026, 1, 1), "title": "probe"}
    DatedTemplate(definition.map_prompt, sample_of(documents), more, carriers_of(documents))
    DatedTemplate(definition.reduce.prompt, ANSWERS, more, tuple(ANSWERS))


def sample_of(documents: Iterable[Document]) -> Mapping[str, Any]:
    """What the first good one has for a template."""
    for document in documents:
        with suppress(BadDocument):
            return document.variables()
    return dict.fromkeys(("text", "name", "path"), "probe")
