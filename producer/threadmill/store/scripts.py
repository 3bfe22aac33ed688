"""The scripts in lua/, which change records. Nothing else changes a job's state.

Redis executes a script as one step: after a crash, a job is in exactly one state and counted once. A caller that lost
the reply calls the script again. Scripts build names of keys, so they need a single Redis and no cluster, as Celery's
Redis broker does.

A script receives one request, a JSON object; values that are JSON themselves are strings. An absent field is nil. It
replies with a list: the outcome, a word, and then the values of this outcome. The comment at its top describes both.

    -- include: jobs, turns     inserts lua/include/jobs.lua and turns.lua, each of which defines a table of its name,
                                and runs when this is first used
    request, keys, FORMAT       are defined in every script: the request, the keys of keys.py that the script uses, and
                                the format of records
    QUEUE, MESSAGE              likewise: the name of Celery's queue, and a message for it (queue.message_template)

Times are Redis' own, in seconds since 1970.
"""

import json
import re
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any

import redis
import redis.asyncio
from redis.client import Pipeline

from threadmill.queue import message_template
from threadmill.store.keys import Key, KeyOf, Keys
from threadmill.store.records.job import FORMAT

_LUA = files("threadmill.store") / "lua"
_INCLUDE = re.compile(r"^-- include: (.+)$", re.MULTILINE)
_KEY = re.compile(r"\bkeys\.(\w+)")
_to_json = json.JSONEncoder(ensure_ascii=False).encode

#: Makes the table of an included part when it is first used. Redis runs the whole text of a script at each call; most
#: calls need few of the parts, and to make all of them would take longer than the rest of the call.
_LAZY = """\
local AT_FIRST_USE = {__index = function(part, name)
  local made = rawget(part, 1)()
  setmetatable(part, {__index = made})
  return made[name]
end}
local function lazy(make) return setmetatable({make}, AT_FIRST_USE) end
"""


def source(name: str, queue: str = "threadmill") -> str:
    """Returns the complete text of the script lua/NAME.lua. `queue`: the name of Celery's queue."""
    body = _body(name)
    return (
        "local prefix, request = ARGV[1], cjson.decode(ARGV[2])\n"
        f"local FORMAT = {FORMAT}\n"
        f"{_message(queue) if 'MESSAGE' in body else ''}"
        f"{body}"
    )


@cache
def _body(name: str) -> str:
    """Returns the part of a script's text that does not depend on the queue."""
    text = "\n".join(map(_text, _parts(name)))
    keys = ",\n".join(f"  {key} = {_lua_key(key)}" for key in sorted(set(_KEY.findall(text))))
    return f"local keys = {{\n{keys}\n}}\n{_LAZY}{text}"


def _text(part: str) -> str:
    """Returns the text of a script, or the definition of an included part."""
    text, name = _file(part), part.removeprefix("include/")
    return text if name == part else f"local {name} = lazy(function()\n{text}return {name}\nend)\n"


def _message(queue: str) -> str:
    return f"local QUEUE, MESSAGE = '{queue}', [==[{message_template(queue)}]==]\n"


@cache
def _parts(name: str) -> tuple[str, ...]:
    """Returns the parts that a script or a part includes, each once and after those that it includes, then itself."""
    included = [f"include/{part}" for line in _INCLUDE.findall(_file(name)) for part in line.split(", ")]
    return tuple(dict.fromkeys([*(part for each in included for part in _parts(each)), name]))


@cache
def _file(part: str) -> str:
    return (_LUA / f"{part}.lua").read_text("utf-8")


def _lua_key(name: str) -> str:
    """Returns a key as a Lua expression: a string, or a function of its values."""
    key: Key | KeyOf = vars(Keys)[name]
    texts = [f"'{text}'" for text in f":{key.name}".split("{}")]
    values = ["first", "second"][: len(texts) - 1]
    joined = " .. ".join(["prefix", texts[0], *(part for pair in zip(values, texts[1:], strict=True) for part in pair)])
    return f"function({', '.join(values)}) return {joined} end" if values else joined


class Scripts:
    """Runs the scripts with one client, blocking or async.

    The names of keys have the prefix. `queue`: the name of Celery's queue, for scripts that dispatch jobs.
    """

    def __init__(self, client: redis.Redis | redis.asyncio.Redis, prefix: str, queue: str = "threadmill") -> None:
        self._client = client
        self._prefix = prefix.encode()
        self._queue = queue
        self._registered: dict[str, Callable[..., Any]] = {}

    def run(self, name: str, request: dict[str, Any], pipe: Pipeline | None = None) -> Any:
        """Runs lua/NAME.lua and returns its reply: of an async client, an awaitable of it.

        With `pipe`, the reply is one of the pipeline's. A value None in the request is an absent field.
        """
        script, args = self.prepared(name, request)
        return script(args=args, client=pipe)

    def prepared(self, name: str, request: dict[str, Any]) -> tuple[Any, tuple[bytes, bytes]]:
        """Returns lua/NAME.lua as redis-py registers it, and its arguments. Raises what the encoding of them raises."""
        if name not in self._registered:
            self._registered[name] = self._client.register_script(source(name, self._queue))
        given = {field: value for field, value in request.items() if value is not None}
        return self._registered[name], (self._prefix, _to_json(given).encode("utf-8", "surrogateescape"))
