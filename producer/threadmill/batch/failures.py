"""Groups the failures of a batch by reason, and says what helps. PURE."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from threadmill.job.result import ENDPOINT_FAILURES, Failure, FailureKind

#: Words with a digit (ids, sizes, times), which differ between failures with the same reason.
_VARYING = re.compile(r"\S*\d\S*")

#: The remedy for each kind of failure that asking again does not help.
_REMEDIES = {
    FailureKind.REJECTED: "fix what the message names; documents that changed are asked again by the same command",
    FailureKind.UNAUTHORISED: "set a valid key where the worker runs (threadmill doctor checks it)",
    FailureKind.UNSUPPORTED: "check `base_url` and `kind` of the endpoint (threadmill doctor checks them)",
    FailureKind.QUOTA: "add credit to the account, or raise its limit",
    FailureKind.INVALID_PROMPT: "change the documents or the prompt; the server refuses to answer them",
    FailureKind.INCOMPLETE: "raise --max-tokens, or shorten the documents (--split asks about them in parts)",
    FailureKind.UNREADABLE: "update threadmill here and where the workers run; else ask again with --again",
    FailureKind.INTERNAL_ERROR: "report the message, with the traceback in the worker's log",
    FailureKind.TOOL_FAILED: "raise `max_tool_rounds` of the endpoint if so many rounds of tools are intended",
}

_KNOWN = frozenset(FailureKind)

_D = TypeVar("_D")


@dataclass
class FailureGroup(Generic[_D]):
    """Failures of one kind whose messages differ only in ids and numbers."""

    kind: FailureKind
    message: str  #: with "…" in place of words that differ
    retryable: bool = False  #: whether any of them can succeed when asked again
    documents: list[_D] = field(default_factory=list)


def group_failures(failures: Iterable[tuple[_D, Failure]]) -> list[FailureGroup[_D]]:
    """Returns groups of (document, failure), the largest first."""
    groups: dict[tuple[str, str], FailureGroup[_D]] = {}
    for document, failure in failures:
        reason = failure.kind, _VARYING.sub("…", failure.message)
        group = groups.setdefault(reason, FailureGroup(failure.kind, failure.message))
        group.message = _common(group.message, failure.message)
        group.documents.append(document)
        group.retryable |= failure.retryable
    return sorted(groups.values(), key=lambda group: -len(group.documents))


def _common(one: str, other: str) -> str:
    """Returns the words that two messages share, with "…" in place of each that differs."""
    words = zip(one.split(" "), other.split(" "), strict=False)
    return one if one == other else " ".join(a if a == b else "…" for a, b in words)


def _remedy(kind: FailureKind) -> str:
    return _REMEDIES.get(kind, "read the messages; a newer version of threadmill has a name for this kind")


def advice(permanent_failures: Iterable[str], retryable: int) -> list[str]:
    """Returns what to do: a remedy for each permanent kind of failure, then how to ask again."""
    kinds = sorted(FailureKind(kind) for kind in permanent_failures)
    lines = [f"{kind}: {_remedy(kind)}" for kind in kinds if kind in _REMEDIES or kind not in _KNOWN]
    if ENDPOINT_FAILURES.intersection(kinds):
        lines.append("Then run the same command again: it asks about every document without an answer.")
    if retryable:
        lines.append(
            f"{retryable:,} failed for a temporary reason: to ask again, run the same command with --retry-failed"
        )
    return lines
