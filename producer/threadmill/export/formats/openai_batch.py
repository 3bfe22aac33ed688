"""Writes results as the output file and the error file of OpenAI's Batch API.

A line is a BatchRequestOutput of OpenAI's API description. An answer is a response of POST /v1/chat/completions.
"""

from typing import Any, TextIO

from threadmill.batch.results import document_id
from threadmill.export.formats.table import as_json, moment
from threadmill.export.results_reader import ResultLine, ResultsReader, succeeded


def write(reader: ResultsReader, output: TextIO, errors: TextIO) -> None:
    for entry in reader:
        file = output if succeeded(entry) else errors
        file.write(as_json(_line(entry)) + "\n")


def _line(entry: ResultLine) -> dict[str, Any]:
    name = entry.get("job_id") or document_id(entry).hex()  # a document that never became a job has no id
    line = {"id": f"batch_req_{name}", "custom_id": _custom_id(entry)}
    if succeeded(entry):
        return {**line, "response": {"status_code": 200, "request_id": name, "body": _body(entry)}, "error": None}
    failure = entry.get("failure") or {}
    code = failure.get("code") or failure.get("kind") or entry["state"]
    return {**line, "response": None, "error": {"code": code, "message": failure.get("message") or ""}}


def _custom_id(entry: ResultLine) -> str:
    if entry.get("custom_id") is not None:
        return str(entry["custom_id"])
    path = str(entry.get("path", ""))
    return path if entry.get("id") is None else f"{path}#{entry['id']}"


_USAGE = ("prompt_tokens", "completion_tokens", "total_tokens")


def _body(entry: ResultLine) -> dict[str, Any]:
    finished = moment((entry.get("timings") or {}).get("finished_at"))
    message = {"role": "assistant", "content": entry.get("text", ""), "refusal": None}
    return {
        "id": f"chatcmpl-{entry.get('job_id')}",
        "object": "chat.completion",
        "created": int(finished.timestamp()) if finished else 0,
        "model": entry.get("model") or "unknown",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": {name: (entry.get("usage") or {}).get(name, 0) for name in _USAGE},
        "system_fingerprint": None,
    }
