"""Chooses a scenario by the assistant's id (`asst_<scenario>`) or a response's model (`emulator-<scenario>`), or by a
marker in the user's last message, `[[scenario=tools run_s=5 tool=SEARCH]]`, which has precedence.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from threadmill_emulator.errors.api_error import ApiError
from threadmill_emulator.scripting.scenarios import QUIRKS, SCENARIOS, TERMINAL, Script


def _one_of(*choices: str) -> Callable[[str], str]:
    return {choice: choice for choice in choices}.__getitem__


def _seconds(text: str) -> float:
    if not 0 <= (value := float(text)) < math.inf:
        raise ValueError(text)
    return value


def _count(text: str) -> int:
    if (value := int(text)) < 1:
        raise ValueError(text)
    return value


def _quirks(text: str) -> frozenset[str]:
    names = frozenset(text.split(","))
    if unknown := names - QUIRKS.keys():
        raise ValueError(f"no quirk {', '.join(sorted(unknown))}")
    return names


#: Parameter of a marker -> field of the script, and how its text is read.
PARAMETERS: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "run_s": ("run_s", _seconds),
    "expires_s": ("expires_s", _seconds),
    "cancel_s": ("cancel_s", _seconds),
    "cancel_ends": ("cancel_ends", _one_of(*TERMINAL)),
    "lock": ("lock", {"yes": True, "no": False}.__getitem__),
    "times": ("times", int),
    "key": ("key", str),
    "n": ("rounds", int),
    "calls": ("calls", int),
    "deltas": ("deltas", _count),
    "used_tokens": ("used_tokens", _count),
    "looks": ("blind_polls", int),
    "flex_refusals": ("flex_refusals", int),
    "tier": ("tier", _one_of("auto", "default", "flex", "priority")),
    "tool": ("tool", str),
    "reason": ("reason", _one_of("max_completion_tokens", "max_prompt_tokens")),
    "quirks": ("quirks", _quirks),
}

MARKER = re.compile(rf"\[\[\s*((?:scenario|{'|'.join(PARAMETERS)})=[^\[\]]*)\]\][ \t]*\n?")


def script_for(name: str, text: str, quirks: frozenset[str] = frozenset()) -> Script:
    """Returns the script of a run. Raises ApiError if a marker is invalid.

    `name`: the name of the assistant or the model. `quirks`: the quirks of all runs of the server.
    """
    script = SCENARIOS.get(name.removeprefix("asst_").removeprefix("emulator-"), SCENARIOS["emulator"])
    for marker in MARKER.finditer(text):
        pairs = [pair.partition("=")[::2] for pair in marker[1].split()]
        for name, value in sorted(pairs, key=lambda pair: pair[0] != "scenario"):
            script = _changed(script, name, value)
    return replace(script, quirks=script.quirks | quirks)


def _changed(script: Script, name: str, value: str) -> Script:
    if name == "scenario" and value in SCENARIOS:
        return SCENARIOS[value]
    if name in PARAMETERS:
        field, read = PARAMETERS[name]
        try:
            changes: dict[str, Any] = {field: read(value)}
            return replace(script, **changes)
        except (KeyError, ValueError):
            pass
    raise ApiError(400, f"The emulator has no scenario marker '{name}={value}'.", code="unknown_scenario")


def without_markers(text: str) -> str:
    return MARKER.sub("", text)
