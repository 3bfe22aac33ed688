"""Splits a message's content into the deltas of a stream, and joins deltas to content."""

import re
from copy import deepcopy
from itertools import pairwise

from threadmill_emulator.content.messages import Block
from threadmill_emulator.content.text import CJK

MOST = 40  #: the largest number of pieces of a message, by default
TOKEN = re.compile(rf"\s*(?:{CJK.pattern}|(?:(?!{CJK.pattern})\S)+)|\s+")


def deltas(content: list[Block], count: int | None = None) -> list[Block]:
    """Splits the text into `count` pieces, or fewer if it has fewer characters. An image is one more delta."""
    length = sum(len(_text(block)) for block in content) or 1
    made: list[Block] = []
    for index, block in enumerate(content):
        share = None if count is None else max(1, round(count * len(_text(block)) / length))
        made += _of_block(index, block, share)
    return made


def _of_block(index: int, block: Block, count: int | None) -> list[Block]:
    if block["type"] == "refusal":
        return [{"index": index, "type": "refusal", "refusal": part} for part in pieces(block["refusal"], count)]
    if block["type"] != "text":
        return [{"index": index, **block}]
    made: list[Block] = [
        {"index": index, "type": "text", "text": {"value": part}} for part in pieces(_text(block), count)
    ]
    made[0]["text"]["annotations"] = []
    if notes := block["text"]["annotations"]:
        made[-1]["text"]["annotations"] = [{"index": number, **note} for number, note in enumerate(notes)]
    return made


def pieces(text: str, count: int | None = None) -> list[str]:
    """Splits a text by words, into at most MOST pieces; by characters if `count` exceeds the number of words."""
    units = TOKEN.findall(text)
    if count is not None and len(units) < count:
        units = list(text)
    wanted = max(1, min(MOST if count is None else count, len(units)))
    bounds = [len(units) * number // wanted for number in range(wanted + 1)]
    return ["".join(units[start:stop]) for start, stop in pairwise(bounds)]


def assembled(parts: list[Block]) -> list[Block]:
    """Returns the content that these deltas make together."""
    content: list[Block] = []
    for part in deepcopy(parts):
        index = part.pop("index")
        if index == len(content):
            content.append(part)
            if part["type"] == "text":
                part["text"].setdefault("annotations", [])
        elif part["type"] == "refusal":
            content[index]["refusal"] += part["refusal"]
        else:
            content[index]["text"]["value"] += part["text"]["value"]
            content[index]["text"]["annotations"] += part["text"].get("annotations", [])
    for block in content:
        for note in block.get("text", {}).get("annotations", []):
            note.pop("index", None)
    return content


def _text(block: Block) -> str:
    return str(block["text"]["value"] if block["type"] == "text" else block.get("refusal", ""))
