"""Measures limits shared by a fleet, fairness and priority, on the emulator with limits of its own.

Redis, the emulator and the workers are separate processes. Each case prints what it measured, and what it must be. The
exit code is 1 if a value is missed by more than a tenth.
"""

import sys
from collections.abc import Callable, Iterator, Mapping

from fleet import WIRES
from limit_cases import chat, cost, drains, fairness, following
from limit_cases.size import Size
from measured import Measured, missed, parser_of, show

CASES: Mapping[str, Callable[[Size], Iterator[Measured]]] = {
    "headers": drains.headers,
    "limit-set": drains.limit_set,
    "no-headers": drains.no_headers,
    "refused-counted": drains.refused_counted,
    "refused-counted-silent": drains.refused_counted_silent,
    "tokens-low": drains.tokens_low,
    "tokens-high": drains.tokens_high,
    "killed": drains.killed,
    "changed-limit": following.with_headers,
    "changed-limit-silent": following.without_headers,
    "chat-queued": chat.queued,
    "chat-refused-set": chat.refused_set,
    "chat-refused": chat.refused,
    "urgent": fairness.urgent,
    "batches": fairness.batches,
    "cost": cost.cost,
}


def main() -> int:
    parser = parser_of("scripts/bench limits", __doc__, CASES)
    add = parser.add_argument
    add("--quick", action="store_true", help="fewer jobs: two minutes instead of fourteen")
    add("--jobs", type=int, metavar="N", help="jobs of a drain (default: 600; quick: 200)")
    add("--queued", type=int, metavar="N", help="jobs before an urgent one (default: 100,000; quick: 5,000)")
    add("--large", type=int, metavar="N", help="jobs of the large batch (default: 10,000; quick: 2,000)")
    add("--documents", type=int, metavar="N", help="documents over Chat Completions (default: 1,000; quick: 300)")
    add("--wire", choices=WIRES, default="assistants", help="the API of the jobs (default: %(default)s)")
    given = parser.parse_args()
    usual = (200, 5_000, 2_000, 300, 20.0) if given.quick else (600, 100_000, 10_000, 1_000, 40.0)
    jobs, queued, large, documents, hold_s = usual
    size = Size(
        given.jobs or jobs,
        given.queued or queued,
        given.large or large,
        given.documents or documents,
        hold_s,
        given.wire,
    )
    far = [line for name in given.only or CASES for line in _measure(name, size)]
    for line in far:
        sys.stderr.write(f"missed: {line}\n")
    return 1 if far else 0


def _measure(name: str, size: Size) -> list[str]:
    """Runs a case and shows its table. Returns what was missed by far."""
    values = list(CASES[name](size))
    show(f"{name}: {CASES[name].__doc__}", values)
    return missed(name, values)


if __name__ == "__main__":
    sys.exit(main())
