"""Counts words and tokens, also in Chinese, Japanese and Korean."""

import re

CJK = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003134f]")
WORD = re.compile(r"[^\W_]+(?:['’\-][^\W_]+)*")


def words(text: str) -> list[str]:
    """Returns the words of scripts that separate words by spaces."""
    return WORD.findall(CJK.sub(" ", text))


def word_count(text: str) -> int:
    """Counts words; each CJK character counts as one."""
    return len(words(text)) + len(CJK.findall(text))


def tokens(text: str) -> int:
    """Estimates the tokens: one per CJK character, one per four others."""
    wide = len(CJK.findall(text))
    return wide + (len(text) - wide + 3) // 4
