"""A code interpreter for the few programs the emulator can write: what it shows as code is what it runs."""

import math
import re
from collections.abc import Callable

from threadmill_emulator.schemas.arguments import NUMBER

FIBONACCI = """\
def fibonacci(count):
    numbers = [0, 1]
    while len(numbers) < count:
        numbers.append(numbers[-1] + numbers[-2])
    return numbers[:count]

print(*fibonacci({count}), sep=", ")
"""
STATISTICS = """\
numbers = {numbers}
print("count", len(numbers))
print("sum", sum(numbers))
print("mean", sum(numbers) / len(numbers))
print("least", min(numbers))
print("greatest", max(numbers))
"""
COUNTING = """\
text = {text!r}
print("characters", len(text))
print("words", len(text.split()))
print("lines", len(text.splitlines()))
"""
MOST_NUMBERS = 1000


def program(prompt: str) -> tuple[str, str]:
    """What is computed, in words, and the Python source that does it."""
    found = [float(number) if "." in number else int(number) for number in NUMBER.findall(prompt)][:MOST_NUMBERS]
    if re.search("fibonacci|費波那契|斐波那契|費氏", prompt, re.IGNORECASE):
        count = min(max(1, int(abs(found[0]))) if found else 20, MOST_NUMBERS)
        return f"The first {count} Fibonacci numbers", FIBONACCI.format(count=count)
    if found:
        return "The numbers of your message", STATISTICS.format(numbers=found)
    return "The length of your message", COUNTING.format(text=prompt)


def run(source: str, **given: Callable[..., object]) -> str:
    """What the source prints. Only for programs of the emulator's own: nothing here is a sandbox."""
    printed: list[str] = []

    def keep(*values: object, sep: str = " ") -> None:
        printed.append(sep.join(map(str, values)))

    exec(source, {"print": keep, "math": math, **given})
    return "\n".join(printed)
