"""Why documents failed, for people: failures grouped by reason, and what would help. PURE."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from threadmill.result import ENDPOINT_FAILURES, Failure, FailureKind

#: Words with a digit (ids, sizes, times) differ between failures of the same reason.
_VARYING = re.compile(r"\S*\d\S*")

#: What helps against failures that asking again does not cure.
_REMEDIES = {
    FailureKind.REJECTED: "fix what the message names; documents that changed are asked again by the same command",
    FailureKind.UNAUTHORISED: "set a valid key where the worker runs (threadmill doctor checks it)",
    FailureKind.UNSUPPORTED: "check `base_url` and `kind` of the endpoint (threadmill doctor checks them)",
    FailureKind.QUOTA: "add credit to the account, or raise its limit",
    FailureKind.INVALID_PROMPT: "change the documents or the prompt; the server does not answer them as they are",
    FailureKind.INCOMPLETE: "raise --max-tokens, or shorten the documents (--split asks about them in parts)",
    FailureKind.UNREADABLE: "update threadmill here and where the workers run; else --force asks anew",
    FailureKind.INTERNAL_ERROR: "report the message, with the traceback in the worker's log",
    FailureKind.TOOL_FAILED: "raise `tool_rounds` of the endpoint if so many rounds of tools are intended",
}

_KNOWN = frozenset(FailureKind)

_D = TypeVar("_D")


@dataclass
class Group(Generic[_D]):
    """Failures of one kind whose messages differ in ids and numbers at most."""

    kind: FailureKind
    message: str  #: "…" stands for what differs between them
    retryable: bool = False  #: whether any of them may pass when asked again
    documents: list[_D] = field(default_factory=list)


def grouped(failures: Iterable[tuple[_D, Failure]]) -> list[Group[_D]]:
    """The groups of (document, failure), the largest first."""
    groups: dict[tuple[str, str], Group[_D]] = {}
    for document, failure in failures:
        reason = failure.kind, _VARYING.sub("…", failure.message)
        group = groups.setdefault(reason, Group(failure.kind, failure.message))
        group.message = _common(group.message, failure.message)
        group.documents.append(document)
        group.retryable |= failure.retryable
    return sorted(groups.values(), key=lambda group: -len(group.documents))


def _common(one: str, other: str) -> str:
    """The words that two messages share; "…" stands for each that differs."""
    words = zip(one.split(" "), other.split(" "), strict=False)
    return one if one == other else " ".join(a if a == b else "…" for a, b in words)


def _remedy(kind: FailureKind) -> str:
    return _REMEDIES.get(kind, "read the messages; a newer version of threadmill has a name for this kind")


def advice(hopeless: Iterable[str], retryable: int) -> list[str]:
    """What to do about failed documents: a remedy for each kind that asking again cannot help, then how to ask."""
    kinds = sorted(FailureKind(kind) for kind in hopeless)
    lines = [f"{kind}: {_remedy(kind)}" for kind in kinds if kind in _REMEDIES or kind not in _KNOWN]
    if ENDPOINT_FAILURES.intersection(kinds):
        lines.append("Then run the same command again: it asks about every document without an answer.")
    if retryable:
        lines.append(
            f"{retryable:,} failed for a reason that may pass: to ask again, run the same command with --retry-failed"
        )
    return lines
