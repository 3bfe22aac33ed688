"""Prompt templates, in Jinja2."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from jinja2 import TemplateError, UndefinedError, meta

from threadmill.documents.errors import BadDocument, too_long
from threadmill.documents.readers.jinja import sandbox
from threadmill.errors import ThreadmillError
from threadmill.job.message import MESSAGE_LIMIT

#: Sample variables of a document whose text is in the prompt, and of one that is attached.
PROBE: dict[str, Any] = {"text": "probe", "name": "probe", "path": "probe", "part": 1, "parts": 1}
WITHOUT_TEXT = {name: value for name, value in PROBE.items() if name != "text"}

#: How many variables, and how many columns, an error message lists.
_LISTED, _LISTED_COLUMNS = 5, 30

#: The longest values of the other variables, to measure the space that is left for text.
_LONGEST = {"name": "x" * 255, "path": "x" * 4096, "part": 1_000_000, "parts": 1_000_000}


class BadTemplate(ThreadmillError):
    """The template cannot be used for any document."""


class PromptTemplate:
    """A prompt template. Raises BadTemplate if it cannot be used.

    `sample` has the variables of a document; other names are errors. None if there is no document.
    The template must use one of the `document_variables`, which refer to the document.
    `columns` are the variables that are columns of a table.
    """

    def __init__(
        self,
        source: str,
        sample: Mapping[str, Any] | None = PROBE,
        *,
        document_variables: Collection[str] = (),
        columns: Collection[str] = (),
    ) -> None:
        environment = sandbox(keep_trailing_newline=True)
        try:
            self._template = environment.from_string(source)
            names = meta.find_undeclared_variables(environment.parse(source))
            if sample is not None:
                self._template.render(sample)
        except UndefinedError as error:
            unknown = sorted(names - set(sample or ()) - set(environment.globals))
            raise BadTemplate(f"the prompt template: {_unknown(unknown, error, sample or (), columns)}") from None
        except TemplateError as error:
            raise BadTemplate(f"the prompt template: {error}. It can use {', '.join(sample or ())}") from None
        optional = names - set(sample or ()) - set(environment.globals)  # columns that later rows may have
        if document_variables and not optional and names.isdisjoint(document_variables):
            raise BadTemplate(
                "the prompt template does not use the document, so every prompt would be the same; "
                f"add {' or '.join(f'{{{{ {name} }}}}' for name in list(document_variables)[:_LISTED])}"
            )

    def render(self, variables: Mapping[str, Any]) -> str:
        """Returns the prompt. Raises BadDocument."""
        try:
            prompt = self._rendered(variables)
        except TemplateError as error:
            raise BadDocument(f"the prompt template fails for this document: {error}") from None
        if len(prompt) > MESSAGE_LIMIT:
            raise BadDocument(too_long(f"{len(prompt):,} characters with the prompt"))
        return prompt

    def _rendered(self, variables: Mapping[str, Any]) -> str:
        """Raises TemplateError."""
        return self._template.render(variables)

    def max_text_chars(self) -> int:
        """Returns how many characters of `text` fit into a message. Raises BadTemplate if none do."""
        try:
            empty, filled = (len(self._rendered(_LONGEST | {"text": "x" * count})) for count in (0, 1000))
        except TemplateError as error:
            raise BadTemplate(
                f"the prompt template: {error}, with a text of x, which measures the space for text"
            ) from None
        times = max(1, -(-(filled - empty) // 1000))  # a template can use `text` twice
        characters = (MESSAGE_LIMIT - empty) // times
        if characters < 1:
            raise BadTemplate(f"the prompt template has no space for text in the {MESSAGE_LIMIT:,} of a message")
        return characters


def _unknown(unknown: Sequence[str], error: UndefinedError, sample: Iterable[str], columns: Collection[str]) -> str:
    if not columns:
        return f"{error}. It can use {', '.join(sample)}"
    reason = f"there is no column {' or '.join(unknown)}" if unknown else str(error)
    others = ", ".join(name for name in sample if name not in columns)
    return f"{reason}; there are {list_columns(columns)}. It can also use {others}"


def list_columns(columns: Collection[str]) -> str:
    """Returns the names of a table's columns for a message, shortened if there are many."""
    first, more = list(columns)[:_LISTED_COLUMNS], len(columns) - _LISTED_COLUMNS
    return ", ".join(first) + (f" and {more} more" if more > 0 else "")
