"""Renders results with a Jinja2 template of the user: to one text, or to a file per document."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TextIO

from jinja2 import TemplateError
from pydantic_core import to_jsonable_python

from threadmill.batch.results import document_id
from threadmill.documents.readers.jinja import sandbox
from threadmill.errors import ThreadmillError
from threadmill.export.results_reader import ResultLine, ResultsReader, label
from threadmill.filenames import safe_name
from threadmill.job.result import JobResult

#: Defaults for fields that a line lacks: a refused document has no usage, for example.
_DEFAULTS = to_jsonable_python(
    {name: field.get_default() for name, field in JobResult.model_fields.items() if not field.is_required()}
) | {"job_id": None, "timings": {}}

#: Suffixes of files in which values are escaped, because answers are untrusted.
_MARKUP = (".html", ".htm", ".xhtml", ".xml", ".svg")


@dataclass(frozen=True)
class Template:
    """A template. `suffix` is that of its output, which determines whether values are escaped."""

    source: str
    suffix: str = ".txt"

    def render(self, reader: ResultsReader) -> Iterator[tuple[ResultLine, str]]:
        """Yields each line with its text. Raises ThreadmillError, which names the document."""
        environment = sandbox(keep_trailing_newline=True, autoescape=self.suffix.lower() in _MARKUP)
        try:
            template = environment.from_string(self.source)
        except TemplateError as error:
            raise ThreadmillError(f"the template: {error}") from None
        for entry in reader:
            known = {**_DEFAULTS, **entry, "answer": entry.get("parsed")}
            try:
                yield entry, template.render(known)
            except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
                raise ThreadmillError(
                    f"the template fails for {label(entry)}: {error}. It can use {', '.join(known)}; "
                    "--only succeeded leaves out documents without an answer"
                ) from None


def write(template: Template, reader: ResultsReader, file: TextIO) -> None:
    for _, text in template.render(reader):
        file.write(text)


def files(template: Template, reader: ResultsReader) -> Iterator[tuple[str, str]]:
    """Yields the name and the content of a file per document. Documents with the same name have a digest in it."""
    names = Counter(_file_name(entry).casefold() for entry in reader)
    for entry, text in template.render(reader):
        name = _file_name(entry)
        unique = name if names[name.casefold()] == 1 else f"{name}-{document_id(entry).hex()}"
        yield unique + template.suffix, text


def _file_name(entry: ResultLine) -> str:
    """Returns a file name from that of the document, valid on any file system and without folders."""
    name = unicodedata.normalize("NFC", str(entry.get("custom_id") or entry.get("name") or label(entry)))
    return safe_name(re.sub(r"[^\w.-]+", "_", name).strip("._"), "document")
