"""Prompts and answers of 1 kB. Their words differ, so that they compress about as well as real text does."""

import random

_TEXT = """
pump valve pressure night report shift engineer left right open closed before after because water oil
temperature alarm reset manual automatic spare ordered replaced checked again noise vibration bearing motor cable
sensor display value limit above below normal found during inspection line three seven north south building gate
supplier called answer waiting tomorrow morning safety lock tag removed signed form copy filed department request
customer urgent delay shipped returned damaged package label printer network server restarted slow fast backup
"""
_WORDS = _TEXT.split()


def text(seed: int, characters: int = 1_000) -> str:
    """Returns words without much sense. The same seed gives the same text."""
    chosen = random.Random(seed).choices(_WORDS, k=characters // 4)
    return " ".join(chosen)[:characters]


def prompt(run_s: float, number: int) -> str:
    """Returns a prompt whose run takes `run_s` on the benchmark's server and on the emulator."""
    return f"[[run_s={run_s:g}]] {number}: {text(number)}"
