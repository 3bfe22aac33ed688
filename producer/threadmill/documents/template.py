"""From what a document has to the prompt about it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from jinja2 import StrictUndefined, TemplateError, UndefinedError, meta
from jinja2.sandbox import SandboxedEnvironment

from threadmill.errors import ThreadmillError
from threadmill.message import MESSAGE_LIMIT

#: What a template can use of a document whose text is in the prompt, and of one that goes along as a file.
PROBE: dict[str, Any] = {"text": "probe", "name": "probe", "path": "probe", "part": 1, "parts": 1}
WITHOUT_TEXT = {name: value for name, value in PROBE.items() if name != "text"}

#: Names in a message: of variables that stand for the document, and of columns.
_SHOWN, _SHOWN_COLUMNS = 5, 30

#: Names as long as they may be, to see how much room they leave.
_WIDEST = {"name": "x" * 255, "path": "x" * 4096, "part": 1_000_000, "parts": 1_000_000}


class BadDocument(Exception):
    """This document cannot be asked about; the text says why and what to do."""


class BadTemplate(ThreadmillError):
    """No document can be asked about with this template."""


class PromptTemplate:
    """A Jinja2 template (sandboxed). Raises BadTemplate for one that cannot be used.

    `sample`: variables as a document has them; a name that is not among them is an error. None: there is no document.
    `carriers`: the variables that stand for the document; the template must use one of them.
    `columns`: those variables that are columns of a table.
    """

    def __init__(
        self,
        source: str,
        sample: Mapping[str, Any] | None = PROBE,
        *,
        carriers: Collection[str] = (),
        columns: Collection[str] = (),
    ) -> None:
        environment = SandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True)
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
        optional = names - set(sample or ()) - set(environment.globals)  # columns that only later rows may have
        if carriers and not optional and names.isdisjoint(carriers):
            raise BadTemplate(
                "the prompt template does not use the document, so every prompt would be the same; "
                f"add {' or '.join(f'{{{{ {name} }}}}' for name in list(carriers)[:_SHOWN])}"
            )

    def render(self, variables: Mapping[str, Any]) -> str:
        """The prompt; raises BadDocument."""
        try:
            prompt = self._rendered(variables)
        except TemplateError as error:
            raise BadDocument(f"does not go into the prompt template: {error}") from None
        if len(prompt) > MESSAGE_LIMIT:
            raise BadDocument(too_long(f"{len(prompt):,} characters with the prompt"))
        return prompt

    def _rendered(self, variables: Mapping[str, Any]) -> str:
        """Raises TemplateError."""
        return self._template.render(variables)

    def room(self) -> int:
        """Characters of `text` that a message has room for beside the rest; raises BadTemplate if there is none."""
        try:
            empty, filled = (len(self._rendered(_WIDEST | {"text": "x" * count})) for count in (0, 1000))
        except TemplateError as error:
            raise BadTemplate(
                f"the prompt template: {error}, with a text of x, by which its room is measured"
            ) from None
        times = max(1, -(-(filled - empty) // 1000))  # a template may have it twice
        room = (MESSAGE_LIMIT - empty) // times
        if room < 1:
            raise BadTemplate(f"the prompt template leaves no room for text in the {MESSAGE_LIMIT:,} of a message")
        return room


def _unknown(unknown: Sequence[str], error: UndefinedError, sample: Iterable[str], columns: Collection[str]) -> str:
    if not columns:
        return f"{error}. It can use {', '.join(sample)}"
    reason = f"there is no column {' or '.join(unknown)}" if unknown else str(error)
    others = ", ".join(name for name in sample if name not in columns)
    return f"{reason}; there are {listed(columns)}. It can also use {others}"


def listed(columns: Collection[str]) -> str:
    """The names of a table's columns, as many as a message can show."""
    shown, more = list(columns)[:_SHOWN_COLUMNS], len(columns) - _SHOWN_COLUMNS
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def too_long(size: str) -> str:
    return f"has {size}; a message holds {MESSAGE_LIMIT:,} characters. Split the document, or have it done with --split"
