"""Results through a Jinja2 template of one's own: one text, or a file per document."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TextIO

from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import SandboxedEnvironment
from pydantic_core import to_jsonable_python

from threadmill.batch.outcomes import Entry, Outcomes, label
from threadmill.batch.results import document_of
from threadmill.errors import ThreadmillError
from threadmill.result import JobResult

#: What a line has that says nothing of it: a document that never became a job has no usage, for example.
_DEFAULTS = to_jsonable_python(
    {name: field.get_default() for name, field in JobResult.model_fields.items() if not field.is_required()}
) | {"job_id": None, "timings": {}}

#: Where a template's values are escaped: nobody has checked what a model wrote.
_MARKUP = (".html", ".htm", ".xhtml", ".xml", ".svg")

_NAME_BYTES = 150  #: of a file's name in UTF-8; file systems bear 255, some less
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)  # on Windows, with any extension


@dataclass(frozen=True)
class Template:
    """`suffix` of what comes of it, which decides whether values are escaped. Sandboxed, unknown names are errors."""

    source: str
    suffix: str = ".txt"

    def render(self, outcomes: Outcomes) -> Iterator[tuple[Entry, str]]:
        """Of each document; raises ThreadmillError that names the document."""
        environment = SandboxedEnvironment(
            undefined=StrictUndefined, keep_trailing_newline=True, autoescape=self.suffix.lower() in _MARKUP
        )
        try:
            template = environment.from_string(self.source)
        except TemplateError as error:
            raise ThreadmillError(f"the template: {error}") from None
        for entry in outcomes:
            known = {**_DEFAULTS, **entry, "answer": entry.get("parsed")}
            try:
                yield entry, template.render(known)
            except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
                raise ThreadmillError(
                    f"the template does not go with {label(entry)}: {error}. It can use {', '.join(known)}; "
                    "--only succeeded leaves out what has no answer"
                ) from None


def write(template: Template, outcomes: Outcomes, file: TextIO) -> None:
    for _, text in template.render(outcomes):
        file.write(text)


def files(template: Template, outcomes: Outcomes) -> Iterator[tuple[str, str]]:
    """A file's name and content per document. Documents of one name have their digest in it, in whatever order."""
    names = Counter(_safe(entry).casefold() for entry in outcomes)
    for entry, text in template.render(outcomes):
        name = _safe(entry)
        unique = name if names[name.casefold()] == 1 else f"{name}-{document_of(entry).hex()}"
        yield unique + template.suffix, text


def _safe(entry: Entry) -> str:
    """From the document's name: fit for any file system, and in no other folder."""
    name = unicodedata.normalize("NFC", str(entry.get("custom_id") or entry.get("name") or label(entry)))
    bare = re.sub(r"[^\w.-]+", "_", name).strip("._")
    short = bare.encode("utf-8", "ignore")[:_NAME_BYTES].decode("utf-8", "ignore") or "document"
    return f"_{short}" if _RESERVED.match(short) else short
