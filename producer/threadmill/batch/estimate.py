"""Estimates the prompt tokens and the cost range of a batch before it is sent.

tiktoken counts the tokens if it is installed (extra `tiktoken`) and TIKTOKEN_CACHE_DIR has the vocabulary of the
model, which is not downloaded. Otherwise they are estimated by the kinds of characters.
"""

import hashlib
import math
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from threadmill.job.result import ModelUsage, Usage
from threadmill.settings.prices import Cost, Prices, cost

#: Kinds of characters, and the tokens per character. Compared with o200k_base on a page or more per language, the
#: error is at most 10 % for English, code and tables, 35 % for German, French, Chinese, Japanese and Korean, and 40 %
#: for others. The older cl100k_base has up to three times as many tokens for alphabets other than the Latin one.
_LETTERS = re.compile(r"[A-Za-z ]+"), 0.22
_DIGITS = re.compile(r"[0-9]+"), 0.67
_SIGNS = re.compile(r"[^A-Za-z 0-9\x80-\U0010ffff]+"), 0.5
_OTHER_ALPHABETS = re.compile(r"[\x80-\u2e7f]+"), 1 / 3
_IDEOGRAPHS = re.compile(r"[\u2e80-\U0010ffff]+"), 1.0
_KINDS = (_LETTERS, _DIGITS, _SIGNS, _OTHER_ALPHABETS, _IDEOGRAPHS)

#: Tokens of a request with one message, without its text. Source: OpenAI's cookbook, "How to count tokens".
_OVERHEAD = 7


@dataclass(frozen=True)
class Counter:
    """Counts the tokens of a text."""

    name: str  #: how it counts, in words
    count: Callable[[str], int]


@dataclass(frozen=True)
class EstimatedPrompt:
    """A prompt, with the model and the options that determine its tokens and its price."""

    text: str
    model: str | None
    instructions: str = ""
    max_completion_tokens: int | None = None
    priced_as: str | None = None  #: the lane or the service tier of its job


#: What decides the price of tokens: the model, and the lane or the service tier.
_Priced = tuple[str | None, str | None]


@dataclass(frozen=True)
class Estimate:
    """Tokens and cost of texts, without images, files, tools and instructions that only the server has."""

    prompts: int
    prompt_tokens: int
    counted_by: str
    least: Cost  #: of the prompts without answers
    most: Cost | None  #: with answers of the largest allowed length; None if some have no limit


def estimate(prompts: Iterable[EstimatedPrompt], prices: Prices) -> Estimate:
    """Returns the estimate for sending all prompts once. They are not held in memory."""

    @lru_cache(maxsize=16)  # most have the same instructions
    def overhead(model: str | None, instructions: str) -> int:
        return _OVERHEAD + counter_for(model).count(instructions)

    read, written = defaultdict[_Priced, int](int), defaultdict[_Priced, int](int)
    number, are_bounded, counters = 0, True, dict[str, None]()
    for prompt in prompts:
        counter = counter_for(prompt.model)
        counters[counter.name] = None
        number += 1
        priced = (prompt.model, prompt.priced_as)
        read[priced] += overhead(prompt.model, prompt.instructions) + counter.count(prompt.text)
        written[priced] += prompt.max_completion_tokens or 0
        are_bounded &= prompt.max_completion_tokens is not None

    def costs(answers: Mapping[_Priced, int]) -> Cost:
        return cost((_usage(priced, tokens, answers[priced]) for priced, tokens in read.items()), prices)

    highest = costs(written) if are_bounded else None
    lowest = costs(dict.fromkeys(read, 0))
    return Estimate(number, sum(read.values()), ", ".join(counters) or "nothing to count", lowest, highest)


def _usage(priced: _Priced, read: int, written: int) -> ModelUsage:
    model, lane = priced
    usage = Usage(prompt_tokens=read, completion_tokens=written, total_tokens=read + written)
    return ModelUsage(model=model, lane=lane, usage=usage)


@lru_cache
def counter_for(model: str | None) -> Counter:
    """Returns the most accurate counter that is available for the model."""
    try:
        import tiktoken

        encoding = tiktoken.encoding_for_model(model) if model and _has_vocabulary(model) else None
    except (ImportError, KeyError):  # KeyError: tiktoken does not know the model
        encoding = None
    if encoding is None:
        return Counter("estimated by characters", by_characters)
    return Counter(f"counted with {encoding.name}", lambda text: len(encoding.encode_ordinary(text)))


def by_characters(text: str) -> int:
    return math.ceil(sum(rate * sum(map(len, runs.findall(text))) for runs, rate in _KINDS))


def _has_vocabulary(model: str) -> bool:
    """Whether tiktoken finds the vocabulary in its cache; it would download it otherwise. Raises KeyError."""
    from tiktoken import encoding_name_for_model

    url = f"https://openaipublic.blob.core.windows.net/encodings/{encoding_name_for_model(model)}.tiktoken"
    folder = os.environ.get("TIKTOKEN_CACHE_DIR")
    return bool(folder) and Path(str(folder), hashlib.sha1(url.encode()).hexdigest()).is_file()
