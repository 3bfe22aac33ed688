"""The documents of a night, and its prompt templates."""

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from datetime import date
from typing import Any

from threadmill.documents.document import Document
from threadmill.documents.errors import BadDocument
from threadmill.documents.find import find, find_files
from threadmill.documents.rows import RowDocuments
from threadmill.documents.source import DocumentSet, document_variables_of
from threadmill.documents.template import PROBE, PromptTemplate
from threadmill.documents.text import ReadOptions
from threadmill.errors import ThreadmillError
from threadmill.reports.definitions.definition import ReportDefinition

#: Sample variables of a reduction.
ANSWERS: Mapping[str, Any] = {"text": "probe", "answers": ["probe"]}


class NoDocuments(ThreadmillError):
    """A night has no documents."""


class DatedTemplate(PromptTemplate):
    """A prompt template that also has the variables `more`: the night and the title."""

    def __init__(
        self, source: str, sample: Mapping[str, Any], more: Mapping[str, Any], document_variables: Collection[str]
    ) -> None:
        self._more = more
        super().__init__(source, {**sample, **more}, document_variables=document_variables)

    def _rendered(self, variables: Mapping[str, Any]) -> str:
        return super()._rendered({**self._more, **variables})


def documents_of(definition: ReportDefinition, night: date) -> DocumentSet:
    """Returns the documents of a night. Raises NoDocuments, and ThreadmillError if they cannot be read."""
    paths, skips = definition.paths_of(night), definition.when_empty == "skip"
    documents: DocumentSet = (
        RowDocuments(find_files(paths, may_be_empty=skips), definition.id_column, encoding=definition.encoding)
        if definition.rows
        else find(paths, _read_options(definition, night), attach=definition.attach, may_be_empty=skips)
    )
    if next(iter(documents), None) is None:  # `len` would read all rows
        raise NoDocuments(f"no documents in {', '.join(paths)}")
    return documents


def _read_options(definition: ReportDefinition, night: date) -> ReadOptions:
    """Returns how text is read. With `split`, parts are as long as fits into a message with the prompt."""
    options = ReadOptions(definition.encoding, definition.max_chars, definition.split)
    if not definition.split:
        return options
    return options.fitting(DatedTemplate(definition.map_prompt, PROBE, night_variables(definition, night), ()))


def map_template(definition: ReportDefinition, night: date, documents: Iterable[Document]) -> DatedTemplate:
    """Returns the prompt template for documents. Raises BadTemplate."""
    return DatedTemplate(
        definition.map_prompt,
        sample_variables(documents),
        night_variables(definition, night),
        document_variables_of(documents),
    )


def reduce_template(definition: ReportDefinition, night: date) -> DatedTemplate:
    """Returns the prompt template for answers. Raises BadTemplate."""
    return DatedTemplate(definition.reduce.prompt, ANSWERS, night_variables(definition, night), tuple(ANSWERS))


def night_variables(definition: ReportDefinition, night: date) -> dict[str, Any]:
    """Returns the variables of every prompt of a night."""
    return {"date": night, "title": definition.title_of(night)}


def check_prompts(definition: ReportDefinition, documents: Iterable[Document]) -> None:
    """Raises BadTemplate if a prompt of the report cannot be used."""
    _read_options(definition, date(2026, 1, 1))
    map_template(definition, date(2026, 1, 1), documents)
    reduce_template(definition, date(2026, 1, 1))


def sample_variables(documents: Iterable[Document]) -> Mapping[str, Any]:
    """Returns the variables of the first good document."""
    for document in documents:
        with suppress(BadDocument):
            return document.parts()[0].variables()
    return PROBE
