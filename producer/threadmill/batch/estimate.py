"""What a batch will take, before anything is sent: tokens of its prompts, and between what and what it costs.

Tokens are counted with tiktoken where it is installed (extra `tiktoken`) and its vocabulary lies in
its cache (TIKTOKEN_CACHE_DIR): it is never fetched. Else they are estimated by characters.
"""

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

from threadmill.prices import Cost, Prices, cost
from threadmill.result import ModelUsage, Usage

#: Characters and how many tokens one of them makes. Measured against o200k_base, on a page or more each: English,
#: code and tables come out right within 10 %, German, French, Chinese, Japanese and Korean within 35 %, all else within
#: 40 %. The older cl100k_base makes up to three times as many of alphabets other than the Latin one.
_LETTERS = re.compile(r"[A-Za-z ]+"), 0.22
_DIGITS = re.compile(r"[0-9]+"), 0.67
_SIGNS = re.compile(r"[^A-Za-z 0-9\x80-\U0010ffff]+"), 0.5
_OTHER_ALPHABETS = re.compile(r"[\x80-\u2e7f]+"), 1 / 3
_IDEOGRAPHS = re.compile(r"[\u2e80-\U0010ffff]+"), 1.0
_KINDS = (_LETTERS, _DIGITS, _SIGNS, _OTHER_ALPHABETS, _IDEOGRAPHS)

#: Tokens that a request with one message has besides its text. Source: OpenAI's cookbook, "How to count tokens".
_FRAME = 7


@dataclass(frozen=True)
class Counter:
    """A way to count tokens."""

    name: str  #: for people
    count: Callable[[str], int]


@dataclass(frozen=True)
class Asked:
    """A prompt, with what else decides on its tokens and their price."""

    text: str
    model: str | None
    instructions: str = ""
    max_completion_tokens: int | None = None


@dataclass(frozen=True)
class Estimate:
    """Of texts alone: images, files, tools, and instructions that only the server has come on top of it."""

    prompts: int
    prompt_tokens: int
    counted_by: str
    least: Cost  #: of the prompts, without any answer
    most: Cost | None  #: with each answer as long as it may be; None: not all of them are bounded


def estimate(prompts: Iterable[Asked], prices: Prices, *, lane: str | None = None) -> Estimate:
    """What it takes to ask all of these once. They are not held in memory."""

    @lru_cache(maxsize=16)  # most have the same instructions
    def around(model: str | None, instructions: str) -> int:
        return _FRAME + counter_for(model).count(instructions)

    read, written = defaultdict[str | None, int](int), defaultdict[str | None, int](int)
    number, are_bounded, counters = 0, True, dict[str, None]()
    for each in prompts:
        counter = counter_for(each.model)
        counters[counter.name] = None
        number += 1
        read[each.model] += around(each.model, each.instructions) + counter.count(each.text)
        written[each.model] += each.max_completion_tokens or 0
        are_bounded &= each.max_completion_tokens is not None

    def costs(answers: Mapping[str | None, int]) -> Cost:
        return cost((_usage(model, lane, tokens, answers[model]) for model, tokens in read.items()), prices)

    most = costs(written) if are_bounded else None
    least = costs(dict.fromkeys(read, 0))
    return Estimate(number, sum(read.values()), ", ".join(counters) or "nothing to count", least, most)


def _usage(model: str | None, lane: str | None, read: int, written: int) -> ModelUsage:
    usage = Usage(prompt_tokens=read, completion_tokens=written, total_tokens=read + written)
    return ModelUsage(model=model, lane=lane, usage=usage)


@lru_cache
def counter_for(model: str | None) -> Counter:
    """The best there is here for this model."""
    try:
        import tiktoken

        with _offline():
            encoding = tiktoken.encoding_for_model(model or "")
    except (ImportError, KeyError, _NotInCache):  # KeyError: a model that tiktoken does not know
        return Counter("estimated by characters", by_characters)
    return Counter(f"counted with {encoding.name}", lambda text: len(encoding.encode_ordinary(text)))


def by_characters(text: str) -> int:
    return math.ceil(sum(rate * sum(map(len, runs.findall(text))) for runs, rate in _KINDS))


class _NotInCache(Exception):
    pass


@contextmanager
def _offline() -> Iterator[None]:
    """Has tiktoken fail where it would fetch a vocabulary: what it has in its cache, it reads without this call."""
    from tiktoken import load

    def refuse(blobpath: str) -> bytes:
        raise _NotInCache(blobpath)

    fetch, load.read_file = load.read_file, refuse
    try:
        yield
    finally:
        load.read_file = fetch
