"""Input files of OpenAI's Batch API as document sets: each line is a request with its own prompt."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from threadmill.documents.bodies import to_job_fields, with_request_names
from threadmill.documents.document import STDIN, DocumentsInFiles, NumberedDocument, UniqueIds, printable
from threadmill.documents.errors import BadDocument
from threadmill.documents.readers.encoding import open_text
from threadmill.documents.readers.lines import read_objects
from threadmill.documents.template import PromptTemplate
from threadmill.errors import InvalidJob, ThreadmillError

URLS = ("/v1/chat/completions", "/v1/responses")


@dataclass(frozen=True)
class RequestDocument(NumberedDocument):
    """A line of a request file. A `custom_id` that an earlier request has gets a number."""

    custom_id: str
    url: str
    body: Mapping[str, Any]
    problem: str = ""  #: why it cannot be used

    @property
    def identity(self) -> str:
        return self.custom_id

    @property
    def location(self) -> dict[str, Any]:
        return {**super().location, "custom_id": self.custom_id}

    def variables(self) -> dict[str, Any]:
        raise BadDocument("is a request with its own prompt; templates do not apply")

    def job_fields(self, template: PromptTemplate) -> dict[str, Any]:
        """Returns the fields of its body; the template is not used. Raises BadDocument."""
        if self.problem:
            raise BadDocument(self.problem)
        return to_job_fields(self.url, self.body)

    def explain(self, error: InvalidJob) -> str:
        return with_request_names(self.url, self.body, str(error))


class RequestDocuments(DocumentsInFiles):
    """The requests of files. Raises ThreadmillError for a file without the suffix .jsonl."""

    def __init__(self, paths: Iterable[Path], *, encoding: str | None = None, stdin: Path | None = None) -> None:
        super().__init__(paths, encoding=encoding, stdin=stdin)
        for path in self._paths:
            if path != STDIN and path.suffix.lower() != ".jsonl":
                raise ThreadmillError(f"{path}: --requests takes .jsonl files, a request of the Batch API per line")

    def __iter__(self) -> Iterator[RequestDocument]:
        ids = UniqueIds()
        for path in self._paths:
            source = self._stdin if path == STDIN and self._stdin else path
            try:
                with open_text(source, self._encoding) as file:
                    for number, value, problem in read_objects(file):
                        yield _request(path, number, value, problem, ids)
            except (BadDocument, UnicodeError) as error:
                raise ThreadmillError(f"{path}: {error}") from None
            except OSError as error:
                raise ThreadmillError(f"{path}: cannot be read: {error.strerror or error}") from None


def _request(path: Path, number: int, value: Mapping[str, Any], problem: str, ids: UniqueIds) -> RequestDocument:
    wanted = printable(value.get("custom_id", ""))
    custom_id, is_repeated = ids.take(wanted)
    problem = problem or _problem(value)
    if is_repeated and not problem:
        problem = f"has the custom_id {wanted!r} of an earlier request; give each request its own"
    return RequestDocument(path, number, custom_id, str(value.get("url")), value.get("body", {}), problem)


def _problem(value: Mapping[str, Any]) -> str:
    custom_id = value.get("custom_id")
    if not isinstance(custom_id, str) or not custom_id:
        return "has no custom_id (a non-empty string), which identifies the request"
    if value.get("method", "POST") != "POST" or value.get("url") not in URLS:
        return f"is {value.get('method')} {value.get('url')}; supported are POST {' and POST '.join(URLS)}"
    if not isinstance(value.get("body"), dict):
        return "has no body, which has the parameters of the request"
    return ""
