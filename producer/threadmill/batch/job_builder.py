"""Builds the jobs of documents, with idempotency keys by which later invocations find them."""

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
from threadmill.documents.errors import BadDocument
from threadmill.documents.template import PromptTemplate
from threadmill.errors import InvalidJob
from threadmill.job.prompt import PromptJob
from threadmill.job.result import JobResult, JobState, Usage
from threadmill.surrogates import replace_surrogates

#: Characters of a document's name that its jobs hold.
_NAME_LENGTH = 500


@dataclass(slots=True)
class PendingDocument:
    """A document with unfinished jobs. It does not hold the text, because there can be thousands."""

    label: str
    location: Mapping[str, Any]
    key: str  #: a digest of the document, its jobs and all attached files
    parts: int
    _results: dict[int, JobResult] | None = None  #: by part

    def add(self, part: int, result: JobResult) -> bool:
        """Adds the result of a part. Returns whether all parts have one."""
        self._results = (self._results or {}) | {part: result}
        return len(self._results) == self.parts

    @property
    def line(self) -> dict[str, Any]:
        """The line of the results file, once all parts have results. The answers of several parts are joined."""
        results = [result for _, result in sorted((self._results or {}).items())]
        lines = [result.model_dump(mode="json") for result in results]
        return {**self.location, "key": self.key, **(lines[0] if len(lines) == 1 else _joined(results, lines))}


@dataclass(frozen=True)
class BatchJob:
    """A job about one part of a document."""

    document: PendingDocument
    part: int
    job: PromptJob


class JobBuilder:
    """Builds the jobs of a batch. `fields` are those of PromptJob that all jobs have."""

    def __init__(self, client: Client, batch: str, template: PromptTemplate, fields: Mapping[str, Any]) -> None:
        self._client = client
        self._batch = batch
        self._template = template
        self._fields = fields

    def build(self, document: Document) -> list[BatchJob]:
        """Returns a job for each part of the document, usually one. Raises BadDocument."""
        jobs, keys = [], []
        for part in document.parts():
            fields = merge_fields(self._fields, part.job_fields(self._template))
            try:
                jobs.append(self._client.check({**fields, "batch": self._batch}))
            except InvalidJob as error:
                raise BadDocument(part.explain(error)) from None
            keys.append(_digest(f"{part.identity}\0{jobs[-1].digest}{self._attached}{part.fingerprint()}"))
        pending = PendingDocument(
            document.label, document.location, keys[0] if len(keys) == 1 else _digest("\0".join(keys)), len(keys)
        )
        return [
            BatchJob(pending, number, job.model_copy(update={"key": key, "document": _name_of(pending, number)}))
            for number, (job, key) in enumerate(zip(jobs, keys, strict=True))
        ]

    @cached_property
    def _attached(self) -> str:
        """A digest of the files that all jobs have. If one changes, all documents are asked about again."""
        return fingerprint(PromptJob.parse({"prompt": "-", **self._fields}).paths)


def _name_of(document: PendingDocument, part: int) -> str:
    """Returns the name of a document, or of one of its parts, for lists of jobs."""
    name = replace_surrogates(document.label)[:_NAME_LENGTH]
    return name if document.parts == 1 else f"{name} ({part + 1}/{document.parts})"


def _joined(results: Sequence[JobResult], lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns one line for the parts of a document. It fails if a part fails; citations stay with the parts."""
    failed = [line for line in lines if line["state"] != JobState.SUCCEEDED]
    return {
        **(failed or lines)[0],
        "text": "\n\n".join(result.text for result in results if result.text),
        "content": [],
        "parsed": None,
        "citations": [],
        "usage": sum((result.usage for result in results), Usage()).model_dump(),
        **{count: sum(line[count] for line in lines) for count in ("runs", "attempts", "calls")},
        "parts": lines,
    }


def fingerprint(paths: Iterable[str]) -> str:
    """Returns a digest of the files. Those that are not on this machine are left out: workers may have them."""
    return "".join(file_digest(Path(path)) for path in filter(os.path.isfile, paths))


def batch_name(stem: str, *content: Any) -> str:
    """Returns a name that is the same for the same results file, prompt and job fields."""
    safe = "".join(c if c.isalnum() or c in "-_" else "-" for c in stem)[:100] or "batch"
    return f"{safe}-{_digest(json.dumps(content, sort_keys=True, default=str))[:10]}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
