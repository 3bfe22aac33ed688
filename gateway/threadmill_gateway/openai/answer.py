"""The answer in a result as OpenAI's objects have it: its text, its annotations, and why it failed. PURE."""

import json
from typing import Any

from threadmill.job.prompt import PromptJob
from threadmill.job.result import Citation, Failure, FailureKind, JobResult, Usage

#: What a server calls a filter of its own, in the code of an incomplete answer.
_FILTERED = "content_filter"


def answer_text(job: PromptJob, result: JobResult) -> str:
    """Returns the answer. If JSON was asked for, it is JSON alone: without footnotes, and without a fence around it."""
    if not isinstance(job.response_format, dict) or result.parsed is None:
        return result.text
    try:
        json.loads(result.text)
    except ValueError:
        return json.dumps(result.parsed, ensure_ascii=False)
    return result.text


def is_refusal(result: JobResult) -> bool:
    """Whether the model refused, and wrote nothing else."""
    return bool(result.content) and all(block.get("type") == "refusal" for block in result.content)


def annotations(text: str, citations: tuple[Citation, ...]) -> list[dict[str, Any]]:
    """Returns the citations as annotations of the text, each at its first footnote."""
    return [_annotation(text, citation) for citation in citations]


def _annotation(text: str, citation: Citation) -> dict[str, Any]:
    reference = f"[{citation.number}]"
    start = text.find(reference)
    start, end = (start, start + len(reference)) if start >= 0 else (len(text), len(text))
    if citation.url is not None:
        place = {"start_index": start, "end_index": end}
        return {"type": "url_citation", **place, "url": citation.url, "title": citation.name or citation.url}
    file_id = citation.file_id or ""
    return {"type": "file_citation", "file_id": file_id, "filename": citation.name or file_id, "index": start}


def is_incomplete(failure: Failure | None) -> bool:
    """Whether a limit cut the answer, and a part of it is there."""
    return failure is not None and failure.kind == FailureKind.INCOMPLETE


def is_filtered(failure: Failure | None) -> bool:
    """Whether the server's content filter cut the answer."""
    return failure is not None and failure.code == _FILTERED


def reported(usage: Usage) -> bool:
    """Whether the server said how many tokens a job took."""
    return usage.total_tokens > 0
