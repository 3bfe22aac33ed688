"""What is asked about a document, by which a later run knows that it was asked."""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from threadmill.client import Client
from threadmill.documents.document import Document, file_digest, merge_fields
from threadmill.documents.template import BadDocument, PromptTemplate
from threadmill.errors import InvalidJob
from threadmill.job import PromptJob
from threadmill.result import JobResult, JobState, Usage


@dataclass(slots=True)
class Item:
    """A document that is asked about, without its text: thousands of them are held."""

    label: str
    location: Mapping[str, Any]
    key: str  #: of the document with all that is asked about it
    parts: int
    _results: dict[int, JobResult] | None = None  #: of its parts, so far

    def add(self, part: int, result: JobResult) -> bool:
        """Takes the result of a part; whether all are there."""
        self._results = (self._results or {}) | {part: result}
        return len(self._results) == self.parts

    @property
    def line(self) -> dict[str, Any]:
        """Its line of the results file, once all parts have their results; answers of several are joined."""
        results = [result for _, result in sorted((self._results or {}).items())]
        lines = [result.model_dump(mode="json") for result in results]
        return {**self.location, "key": self.key, **(lines[0] if len(lines) == 1 else _joined(results, lines))}


@dataclass(frozen=True)
class Question:
    """A job, and which part of which document it is about."""

    item: Item
    part: int
    job: PromptJob


class Questions:
    """Of one batch. `fields`: those of PromptJob that all its jobs have."""

    def __init__(self, client: Client, batch: str, template: PromptTemplate, fields: Mapping[str, Any]) -> None:
        self._client = client
        self._batch = batch
        self._template = template
        self._fields = fields

    def about(self, document: Document) -> list[Question]:
        """One, or one for each of its parts. Raises BadDocument."""
        jobs, keys = [], []
        for part in document.parts():
            fields = merge_fields(self._fields, part.job_fields(self._template))
            try:
                jobs.append(self._client.check({**fields, "batch": self._batch}))
            except InvalidJob as error:
                raise BadDocument(part.explain(error)) from None
            keys.append(_digest(f"{part.identity}\0{jobs[-1].digest}{self._attached}{part.fingerprint()}"))
        item = Item(
            document.label, document.location, keys[0] if len(keys) == 1 else _digest("\0".join(keys)), len(keys)
        )
        return [
            Question(item, number, job.model_copy(update={"key": key}))
            for number, (job, key) in enumerate(zip(jobs, keys, strict=True))
        ]

    @cached_property
    def _attached(self) -> str:
        """Of what the files hold that go with every document: once one has changed, all are asked about again."""
        return fingerprint(PromptJob.parse({"prompt": "-", **self._fields}).paths)


def _joined(results: Sequence[JobResult], lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The results of a document's parts as one. It has failed if one of them has; what they cite stays with them."""
    bad = [line for line in lines if line["state"] != JobState.SUCCEEDED]
    return {
        **(bad or lines)[0],
        "text": "\n\n".join(result.text for result in results if result.text),
        "content": [],
        "parsed": None,
        "citations": [],
        "usage": sum((result.usage for result in results), Usage()).model_dump(),
        **{count: sum(line[count] for line in lines) for count in ("runs", "attempts", "calls")},
        "parts": lines,
    }


def fingerprint(paths: Iterable[str]) -> str:
    """Of the files' contents; '' for those that are not here: the workers' disk need not be ours."""
    return "".join(file_digest(Path(path)) for path in filter(os.path.isfile, paths))


def batch_name(stem: str, *content: Any) -> str:
    """The same results file, prompt and job fields give the same name, and so the same batch."""
    safe = "".join(c if c.isalnum() or c in "-_" else "-" for c in stem)[:100] or "batch"
    return f"{safe}-{_digest(json.dumps(content, sort_keys=True, default=str))[:10]}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
