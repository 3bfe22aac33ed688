"""Counting what stands in a text, Chinese, Japanese and Korean characters included."""

import re

CJK = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003134f]")
WORD = re.compile(r"[^\W_]+(?:['’\-][^\W_]+)*")


def words(text: str) -> list[str]:
    """The words of a text in scripts that put spaces between them."""
    return WORD.findall(CJK.sub(" ", text))


def word_count(text: str) -> int:
    """Words, with every CJK character counted as one."""
    return len(words(text)) + len(CJK.findall(text))


def tokens(text: str) -> int:
    """About what a tokenizer would say: one per CJK character, one per four others."""
    wide = len(CJK.findall(text))
    return wide + (len(text) - wide + 3) // 4
