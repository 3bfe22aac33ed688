"""Document sets: from paths to texts, from texts to prompts. A bad document has a reason, and stops no other."""

import glob
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import SandboxedEnvironment
from pathspec import GitIgnoreSpec

from threadmill.errors import ThreadmillError
from threadmill.message import MESSAGE_LIMIT

#: What a template can use of a text file.
_PROBE = dict.fromkeys(("text", "name", "path"), "probe")

#: In a folder: patterns of what is no document, as in a .gitignore.
IGNORE_FILE = ".threadmillignore"

#: A character takes at most this many bytes in UTF-8.
_BYTES_PER_CHARACTER = 4


class BadDocument(Exception):
    """This document cannot be asked about; the text says why and what to do."""


class BadTemplate(ThreadmillError):
    """No document can be asked about with this template."""


@dataclass(frozen=True)
class Document:
    """A text file of the set; rows.py has another kind. `path`: as found, relative if it was given so."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def label(self) -> str:
        """What a person finds it by."""
        return str(self.path)

    @property
    def identity(self) -> str:
        """What a later run of the batch knows it by."""
        return str(self.path)

    @property
    def place(self) -> dict[str, Any]:
        """Where it is, as fields of its result line."""
        return {"path": str(self.path), "name": self.name}

    def variables(self) -> dict[str, Any]:
        """What a template can use of it; raises BadDocument."""
        return {"text": self.read(), "name": self.name, "path": str(self.path)}

    def read(self) -> str:
        """The text; raises BadDocument."""
        try:
            if self.path.stat().st_size > MESSAGE_LIMIT * _BYTES_PER_CHARACTER:
                raise BadDocument(_too_long(f"{self.path.stat().st_size:,} bytes"))
            text = self.path.read_text("utf-8-sig")
        except UnicodeDecodeError as error:
            raise BadDocument(
                f"is not UTF-8 text (byte 0x{error.object[error.start]:02x} at {error.start}); "
                "convert it, for example with: iconv -f ENCODING -t UTF-8"
            ) from None
        except OSError as error:
            raise BadDocument(f"cannot be read: {error.strerror or error}") from None
        if not text.strip():
            raise BadDocument("is empty")
        return text


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
            raise BadDocument(_too_long(f"{len(prompt):,} characters with the prompt"))
        return prompt


def find(paths: Iterable[str]) -> list[Document]:
    """The documents of folders (recursive), globs and files, each once, in order.

    Of folders: without hidden files, and those that the folder's .threadmillignore names.
    Raises ThreadmillError for a path that leads to no file.
    """
    found: dict[Path, None] = {}
    for given in paths:
        expanded = list(_expand(given))
        if not expanded:
            raise ThreadmillError(f"{given}: no such file or folder, or no file in it")
        found |= dict.fromkeys(expanded)
    return [Document(path) for path in found]


def _expand(given: str) -> Iterator[Path]:
    path = Path(given)
    if path.is_dir():
        yield from _walk(path)
    elif path.exists():
        yield path
    else:
        yield from (Path(match) for match in sorted(glob.glob(given, recursive=True)) if Path(match).is_file())


def _walk(folder: Path) -> Iterator[Path]:
    ignore = folder / IGNORE_FILE
    ignored = GitIgnoreSpec.from_lines(ignore.read_text("utf-8").splitlines() if ignore.is_file() else [])
    for path in sorted(folder.rglob("*")):
        is_document = path.is_file() or (path.is_symlink() and not path.exists())  # that one will have its reason
        within = path.relative_to(folder)
        if is_document and not any(part.startswith(".") for part in within.parts) and not ignored.match_file(within):
            yield path


def _too_long(size: str) -> str:
    return f"has {size}; a message holds {MESSAGE_LIMIT:,} characters. Split the document"
