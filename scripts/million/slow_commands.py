"""Which commands held Redis for long, as SLOWLOG and LATENCY tell, and the scripts themselves."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import redis

from million import scripts_measured
from threadmill.store import scripts

#: Shorter commands are not counted.
LOG_ABOVE_MS = scripts_measured.ABOVE_MS

#: Commands that take microseconds. If one takes longer, another process had the core.
_SHORT = ("GET ", "SET ", "HGET ", "HSET ", "HDEL ", "HMGET ", "HSETNX ", "ZADD ", "ZREM ", "ZSCORE ", "EXISTS ")
_KEPT = 100_000


@dataclass(frozen=True)
class SlowCommand:
    name: str  #: of the script, or of the command with its key
    step: str  #: of the measurement
    ms: float


class SlowCommands:
    """Collects the slow commands of each step of a measurement."""

    def __init__(self, connection: redis.Redis, queue: str) -> None:
        self._redis = connection
        self._names = _names(queue)
        self.found: list[SlowCommand] = []  #: by the clock
        self.scripts: list[SlowCommand] = []  #: by CPU
        self.most_commands: dict[str, int] = {}  #: of each script, the largest number that one call had
        self.events: list[SlowCommand] = []  #: what LATENCY monitors and took 10 ms or more; the longest of each step
        connection.config_set("slowlog-max-len", _KEPT)
        connection.config_set("slowlog-log-slower-than", LOG_ABOVE_MS * 1000)
        connection.config_set("latency-monitor-threshold", 10)
        connection.slowlog_reset()

    def collect(self, step: str) -> None:
        """Takes what Redis has logged since the last call."""
        self._redis.config_set("slowlog-log-slower-than", -1)  # the commands of this method may be slow
        events: Iterable[Any] = self._redis.latency_latest()
        self.events += [SlowCommand(_text(name), step, float(longest)) for name, _, _, longest, *_ in events]
        for entry in self._redis.slowlog_get(_KEPT):
            self.found.append(SlowCommand(self._name(entry["command"]), step, entry["duration"] / 1000))
        self.scripts += [SlowCommand(name, step, ms) for name, ms in scripts_measured.times_ms(self._redis)]
        self.most_commands = scripts_measured.most_commands(self._redis)
        self._redis.slowlog_reset()
        self._redis.config_set("slowlog-log-slower-than", LOG_ABOVE_MS * 1000)
        self._redis.latency_reset()

    def disturbed_ms(self) -> float:
        """Returns the longest time of a command that takes microseconds: so long did others keep Redis waiting."""
        return max((each.ms for each in self.found if each.name.startswith(_SHORT)), default=0)

    def _name(self, command: bytes) -> str:
        name, *arguments = command.split(b" ")
        if name.upper() == b"EVALSHA" and arguments:
            return self._names.get(_text(arguments[0]), "unknown script")
        return " ".join(map(_text, [name, *arguments[:1]]))


def slowest(found: Iterable[SlowCommand], number: int) -> list[SlowCommand]:
    """Returns the slowest ones, the slowest first; of each script or command only the slowest."""
    by_name = {each.name: each for each in sorted(found, key=lambda each: each.ms)}
    return sorted(by_name.values(), key=lambda each: each.ms, reverse=True)[:number]


def above(found: Iterable[SlowCommand], ms: float, name: str | None = None) -> int:
    return sum(each.ms > ms for each in found if name in (None, each.name))


def _names(queue: str) -> dict[str, str]:
    """Returns the names of the scripts by their SHA1."""
    lua = files("threadmill.store") / "lua"
    folders = [folder for folder in lua.iterdir() if folder.is_dir() and folder.name != "include"]
    names = [f"{folder.name}/{path.name.removesuffix('.lua')}" for folder in folders for path in folder.iterdir()]
    names.append("write_with_lease")
    return {hashlib.sha1(scripts.source(name, queue).encode()).hexdigest(): name for name in names}


def _text(value: bytes | str) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
