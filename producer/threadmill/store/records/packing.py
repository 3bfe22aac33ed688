"""How a record holds its job and its result: as JSON, compressed if it is long."""

import json
import zlib
from base64 import b64decode, b64encode

from threadmill.job.prompt import PromptJob
from threadmill.job.result import JobResult
from threadmill.secrets.redaction import redact, redact_all

#: Texts of at least so many characters are compressed; a compressed text has this prefix. JSON does not begin so.
_PACK_FROM = 500
_PREFIX = "zlib:"

#: Fields of a job that may hold a secret by mistake. Names, ids and paths are not redacted.
_TEXTS = ("prompt", "messages", "instructions", "additional_instructions", "tools", "response_format", "metadata")


def pack_job(job: PromptJob) -> str:
    """Encodes a job for its record, with secrets redacted."""
    body = job.model_dump_json(exclude_defaults=True)
    if redact(body) != body:
        fields = json.loads(body)
        fields |= redact_all({name: fields[name] for name in _TEXTS if name in fields})
        body = json.dumps(fields, ensure_ascii=False)
    return pack(body)


def unpack_job(field: str) -> tuple[PromptJob, tuple[str, ...]]:
    """Returns the job of a record, and its fields that this version does not know. Raises ValueError."""
    return PromptJob.read(unpack(field))


def unpack_result(field: str) -> JobResult:
    """Returns the result of a record. Raises ValueError."""
    return JobResult.model_validate_json(unpack(field))


def pack(text: str) -> str:
    """Returns a JSON text as a record holds it: compressed if it is long."""
    return text if len(text) < _PACK_FROM else _PREFIX + b64encode(zlib.compress(text.encode())).decode()


def unpack(field: str) -> str:
    """Returns the text that `pack` was given. Raises ValueError if the field is damaged."""
    if not field.startswith(_PREFIX):
        return field
    try:
        return zlib.decompress(b64decode(field[len(_PREFIX) :])).decode()
    except zlib.error as error:
        raise ValueError(str(error)) from None


def unpack_readable(field: str) -> str:
    """Returns a field of a record with its texts uncompressed, one a line; a damaged text is left as it is."""

    def unpack_line(line: str) -> str:
        try:
            return unpack(line)
        except ValueError:
            return line

    return "\n".join(map(unpack_line, field.split("\n")))
