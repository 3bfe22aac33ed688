"""How much CPU each script takes of Redis, as the scripts themselves tell.

SLOWLOG measures by the clock. While the kernel reclaims memory or another process has the core, a command takes long
that does little. CPU time does not count that.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import redis

from million.slow_commands import LOG_ABOVE_MS, SlowCommand
from threadmill.store import scripts

_KEY = "measured:scripts"

#: INFO has the CPU time of Redis' main thread, which executes all commands. To ask twice takes 20 us.
_METERED = """\
local function cpu_s()
  local total = 0
  for seconds in redis.call('INFO', 'cpu'):gmatch('main_thread:([%d.]+)') do total = total + seconds end
  return total
end
local before = cpu_s()
local reply = (function(...)
{source}
end)()
local ms = (cpu_s() - before) * 1000
if ms > {above} then redis.call('RPUSH', '{key}', '{name} ' .. ms) end
return reply
"""


@contextmanager
def metered_scripts() -> Iterator[None]:
    """Clients and workers that are made in this context measure what their scripts take."""
    plain = scripts.source

    def source(name: str, queue: str = "threadmill") -> str:
        return _METERED.format(source=plain(name, queue), name=name, key=_KEY, above=LOG_ABOVE_MS)

    with patch.object(scripts, "source", source):
        yield


def collect(connection: redis.Redis, step: str) -> Iterator[SlowCommand]:
    """Yields what scripts have told since the last call."""
    told = connection.lrange(_KEY, 0, -1)
    connection.delete(_KEY)
    for each in told:
        name, ms = each.decode().split()
        yield SlowCommand(name, step, float(ms))
