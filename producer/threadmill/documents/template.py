"""From what a document has to the prompt about it."""

from collections.abc import Mapping
from typing import Any

from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import SandboxedEnvironment

from threadmill.errors import ThreadmillError
from threadmill.message import MESSAGE_LIMIT

#: What a template can use of a text file.
_PROBE = dict.fromkeys(("text", "name", "path"), "probe")


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


def too_long(size: str) -> str:
    return f"has {size}; a message holds {MESSAGE_LIMIT:,} characters. Split the document"
