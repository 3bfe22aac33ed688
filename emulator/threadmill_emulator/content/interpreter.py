"""A code interpreter for the few programs that the emulator can write. It runs the code that it shows."""

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
    """Returns a description of the computation and its Python source."""
    found = [float(number) if "." in number else int(number) for number in NUMBER.findall(prompt)][:MOST_NUMBERS]
    if re.search("fibonacci|費波那契|斐波那契|費氏", prompt, re.IGNORECASE):
        count = min(max(1, int(abs(found[0]))) if found else 20, MOST_NUMBERS)
        return f"The first {count} Fibonacci numbers", FIBONACCI.format(count=count)
    if found:
        return "The numbers of your message", STATISTICS.format(numbers=found)
    return "The length of your message", COUNTING.format(text=prompt)


def run(source: str, **given: Callable[..., object]) -> str:
    """Runs the source and returns what it prints. Not a sandbox: only for the emulator's own programs."""
    printed: list[str] = []

    def keep(*values: object, sep: str = " ") -> None:
        printed.append(sep.join(map(str, values)))

    exec(source, {"print": keep, "math": math, **given})
    return "\n".join(printed)
