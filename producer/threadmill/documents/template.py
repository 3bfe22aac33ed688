"""From what a document has to the prompt about it."""

from collections.abc import Mapping
from typing import Any

from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import SandboxedEnvironment

from threadmill.errors import ThreadmillError
from threadmill.message import MESSAGE_LIMIT

#: What a template can use of a document whose text is in the prompt, and of one that goes along as a file.
_PROBE: dict[str, Any] = {"text": "probe", "name": "probe", "path": "probe", "part": 1, "parts": 1}
WITHOUT_TEXT = {name: value for name, value in _PROBE.items() if name != "text"}

#: Names as long as they may be, to see how much room they leave.
_WIDEST = {"name": "x" * 255, "path": "x" * 4096, "part": 1_000_000, "parts": 1_000_000}


class BadDocument(Exception):
    """This document cannot be asked about; the text says why and what to do."""


class BadTemplate(ThreadmillError):
    """No document can be asked about with this template."""


class PromptTemplate:
    """A Jinja2 template (sandboxed); a variable that is not in `sample` is an error at once."""

    def __init__(self, source: str, sample: Mapping[str, Any] = _PROBE) -> None:
        environment = SandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True)
        try:
            self._template = environment.from_string(source)
            self._template.render(sample)
        except TemplateError as error:
            raise BadTemplate(f"the prompt template: {error}. It can use {', '.join(sample)}") from None

    def render(self, variables: Mapping[str, Any]) -> str:
        """The prompt; raises BadDocument."""
        try:
            prompt = self._template.render(variables)
        except TemplateError as error:
            raise BadDocument(f"does not go into the prompt template: {error}") from None
        if len(prompt) > MESSAGE_LIMIT:
            raise BadDocument(too_long(f"{len(prompt):,} characters with the prompt"))
        return prompt

    def room(self) -> int:
        """Characters of `text` that a message has room for beside the rest; raises BadTemplate if there is none."""
        try:
            empty, filled = (len(self._template.render(_WIDEST | {"text": "x" * count})) for count in (0, 1000))
        except TemplateError as error:
            raise BadTemplate(
                f"the prompt template: {error}, with a text of x, by which its room is measured"
            ) from None
        times = max(1, -(-(filled - empty) // 1000))  # a template may have it twice
        room = (MESSAGE_LIMIT - empty) // times
        if room < 1:
            raise BadTemplate(f"the prompt template leaves no room for text in the {MESSAGE_LIMIT:,} of a message")
        return room


def too_long(size: str) -> str:
    return f"has {size}; a message holds {MESSAGE_LIMIT:,} characters. Split the document, or have it done with --split"
