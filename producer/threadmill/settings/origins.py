"""Finds which environment variable sets which setting."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence

from threadmill.settings.suggestions import closest

PREFIX = "THREADMILL_"

#: Variables with threadmill's prefix that are not settings.
_OTHERS = ("THREADMILL_CONFIG", "THREADMILL_LOG")

#: Variables that Kubernetes and Docker set for a service or a link named threadmill, threadmill-redis or similar.
_OF_A_PLATFORM = re.compile(
    r".*(_SERVICE_HOST|_SERVICE_PORT(_\w+)?|_PORT|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)

SettingPath = tuple[str, ...]  #: for example ("endpoints", "davinci", "assistant")


def variables(environment: Iterable[str]) -> dict[str, SettingPath]:
    """Returns the variables that set something, with the path of the setting. Case does not matter."""
    found = {
        name: tuple(name.upper().removeprefix(PREFIX).lower().split("__"))
        for name in environment
        if name.upper().startswith(PREFIX) and name.upper() not in _OTHERS
    }
    return found | {name: ("redis_url",) for name in environment if name.upper() == "REDIS_URL"}


def unknown(environment: Iterable[str], settings: Mapping[str, bool]) -> list[str]:
    """Returns a phrase for each variable with threadmill's prefix that sets nothing.

    `settings`: the names of all settings, and whether each is a table.
    """
    return [
        f"unknown variable {name}{_suggestion(path[0], settings)}"
        for name, path in sorted(variables(environment).items())
        if (path[0] not in settings or (len(path) > 1 and not settings[path[0]]))
        and not _OF_A_PLATFORM.fullmatch(name.upper())
    ]


def variable_of(path: Sequence[object], environment: Mapping[str, str]) -> str | None:
    """Returns the variable that sets the value at the path, or None.

    The most specific variable wins, and THREADMILL_REDIS_URL wins over REDIS_URL.
    """
    steps = tuple(map(str, path))
    found = [
        (name, its)
        for name, its in variables(environment).items()
        if steps[: len(its)] == its and _holds(environment[name], steps[len(its) :])
    ]
    found.sort(key=lambda each: (-len(each[1]), not each[0].upper().startswith(PREFIX)))
    return found[0][0] if found else None


def _suggestion(name: str, settings: Iterable[str]) -> str:
    found = closest(name, settings)
    return f" (did you mean {PREFIX}{found.upper()}?)" if found else ""


def _holds(text: str, steps: SettingPath) -> bool:
    """Whether a variable's value contains the remaining path. If the path is not empty, the value is JSON."""
    if not steps:
        return True
    try:
        value = json.loads(text)
    except ValueError:
        return False
    for step in steps:
        if not isinstance(value, dict) or step not in value:
            return False
        value = value[step]
    return True
