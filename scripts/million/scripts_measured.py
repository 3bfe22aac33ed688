"""What each script takes of Redis, as the scripts themselves tell: CPU, and commands.

SLOWLOG measures by the clock. While the kernel reclaims memory or another process has the core, a command takes long
that does little. CPU time does not count that; a number of commands is the same on each machine.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast
from unittest.mock import patch

import redis

from threadmill.store import scripts

#: Less is not told.
ABOVE_MS = 1

_TIMES = "measured:scripts"
_COMMANDS = "measured:commands"

#: INFO has the CPU time of Redis' main thread, which executes all commands. To ask twice takes 20 us.
_METERED = """\
local plain, commands = redis, 0
local redis = setmetatable({{
  call = function(...) commands = commands + 1 return plain.call(...) end,
  pcall = function(...) commands = commands + 1 return plain.pcall(...) end,
}}, {{__index = plain}})
local function cpu_s()
  local total = 0
  for seconds in plain.call('INFO', 'cpu'):gmatch('main_thread:([%d.]+)') do total = total + seconds end
  return total
end
local before = cpu_s()
local reply = (function(...)
{source}
end)()
local ms = (cpu_s() - before) * 1000
if ms > {above} then plain.call('RPUSH', '{times}', '{name} ' .. ms) end
if commands > tonumber(plain.call('HGET', '{commands}', '{name}') or 0) then
  plain.call('HSET', '{commands}', '{name}', commands)
end
return reply
"""


@contextmanager
def metered_scripts() -> Iterator[None]:
    """Clients and workers that are made in this context measure what their scripts take."""
    plain = scripts.source

    def source(name: str, queue: str = "threadmill") -> str:
        return _METERED.format(source=plain(name, queue), name=name, times=_TIMES, commands=_COMMANDS, above=ABOVE_MS)

    with patch.object(scripts, "source", source):
        yield


def times_ms(connection: redis.Redis) -> Iterator[tuple[str, float]]:
    """Yields the name and the CPU, in ms, of each script that took more than ABOVE_MS since the last call."""
    told = cast(list[bytes], connection.lrange(_TIMES, 0, -1))
    connection.delete(_TIMES)
    for each in told:
        name, ms = each.decode().split()
        yield name, float(ms)


def most_commands(connection: redis.Redis) -> dict[str, int]:
    """Returns the commands of each script: those of the call that had the most of them."""
    most = cast(dict[bytes, bytes], connection.hgetall(_COMMANDS))
    return {name.decode(): int(number) for name, number in most.items()}
