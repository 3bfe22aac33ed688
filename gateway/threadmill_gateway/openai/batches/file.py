"""Reads the lines of a batch's file, checks them and enqueues their jobs. Blocking: call it in a thread."""

import logging
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import BinaryIO, NamedTuple

from threadmill.client import Client
from threadmill.errors import InvalidJob, KeyConflict, SettingsError
from threadmill.job.file_batch import FileBatch, LineError
from threadmill_gateway.openai.batches.lines import CHAT, Line, job_of_line, line_error, read_line
from threadmill_gateway.openai.chat import request as chat_request
from threadmill_gateway.openai.errors import ApiError, refusal_of
from threadmill_gateway.openai.responses import request as response_request

log = logging.getLogger(__name__)

#: Bytes of a line. A longer one is wrong.
LINE_BYTES = 10_000_000


class FileLine(NamedTuple):
    number: int  #: in the file, from 1
    text: bytes  #: empty if the line is blank


def next_lines(file: BinaryIO, before: int, number: int) -> list[FileLine]:
    """Returns the next lines of a file, at most so many. `before`: how many were read before."""
    return [FileLine(at, text.strip()) for at, text in enumerate(islice(_lines(file), number), before + 1)]


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Yields the lines; one that is too long is cut, so that it is no valid JSON."""
    while line := file.readline(LINE_BYTES):
        rest = line
        while not rest.endswith(b"\n") and (rest := file.readline(LINE_BYTES)):
            pass
        yield line


def check_lines(client: Client, *, made: FileBatch, lines: Sequence[FileLine], seen: set[str]) -> list[LineError]:
    """Returns what is wrong with lines. `seen`: the custom_ids of earlier lines, to which theirs are added."""
    errors = []
    for number, line in _read(client, made, lines):
        try:
            if isinstance(line, ApiError):
                raise line
            if line.custom_id in seen:
                message = f"The custom_id {line.custom_id!r} is that of an earlier line."
                raise ApiError(400, message, param="custom_id", code="duplicate_custom_id")
            seen.add(line.custom_id)
            _check(client, made, number, line)
        except ApiError as error:
            errors.append(line_error(number, error))
    return errors


def _check(client: Client, made: FileBatch, number: int, line: Line) -> None:
    """Raises ApiError if the job of a line cannot be enqueued."""
    params = chat_request.PARAMS if made.route == CHAT else response_request.PARAMS
    try:
        job = client.check(job_of_line(made, number, line))
    except (InvalidJob, SettingsError) as error:
        raise refusal_of(error, params) from None
    if made.endpoints is not None and job.endpoint not in made.endpoints:
        reason = f"The API key may not use the endpoint {job.endpoint!r}: use {', '.join(made.endpoints)}."
        raise ApiError(403, reason, param="model", code="permission_denied")


def enqueue_lines(client: Client, *, made: FileBatch, lines: Sequence[FileLine]) -> None:
    """Enqueues the jobs of lines. One that was enqueued before is left as it is. Raises ApiError, InvalidJob."""
    jobs = []
    for number, line in _read(client, made, lines):
        if isinstance(line, ApiError):
            raise line
        jobs.append(job_of_line(made, number, line))
    try:
        client.enqueue_many(jobs)
    except KeyConflict as error:  # the settings changed between two gateways: the first job of a line holds
        log.warning("batch %s: %s", made.id, error)


def _read(client: Client, made: FileBatch, lines: Sequence[FileLine]) -> Iterator[tuple[int, Line | ApiError]]:
    """Yields what the lines that are not blank ask for, or what is wrong with them."""
    for number, text in lines:
        if text:
            try:
                yield number, read_line(text, made.route, client.settings)
            except ApiError as error:
                yield number, error
