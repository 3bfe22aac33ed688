"""The scripts in lua/, which change records. Nothing else changes a job's state.

Redis executes a script as one step: after a crash, a job is in exactly one state and counted once. A caller that lost
the reply calls the script again. Scripts build names of keys, so they need a single Redis and no cluster, as Celery's
Redis broker does.

A script receives one request, a JSON object; values that are JSON themselves are strings. An absent field is nil. It
replies with a list: the outcome, a word, and then the values of this outcome. The comment at its top describes both.

    -- include: jobs, turns     inserts lua/include/jobs.lua and turns.lua, each of which defines a table of its name
    request, keys, FORMAT       are defined in every script: the request, the keys of keys.py that the script uses, and
                                the format of records

Times are Redis' own, in seconds since 1970.
"""

import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from importlib.resources import files
from typing import Any

import redis
import redis.asyncio
from redis.client import Pipeline

from threadmill.store.keys import Key, KeyOf, Keys
from threadmill.store.records import FORMAT

_LUA = files("threadmill.store") / "lua"
_INCLUDE = re.compile(r"^-- include: (.+)$", re.MULTILINE)
_KEY = re.compile(r"\bkeys\.(\w+)")


@cache
def source(name: str) -> str:
    """Returns the complete text of the script lua/NAME.lua."""
    parts = dict.fromkeys(_parts(name))
    text = "\n".join((_LUA / f"{part}.lua").read_text("utf-8") for part in parts)
    keys = ",\n".join(f"  {key} = {_lua_key(key)}" for key in sorted(set(_KEY.findall(text))))
    return (
        "local prefix, request = ARGV[1], cjson.decode(ARGV[2])\n"
        f"local FORMAT = {FORMAT}\n"
        f"local keys = {{\n{keys}\n}}\n"
        f"{text}"
    )


def _parts(name: str) -> Iterator[str]:
    """Yields the parts that a script or a part includes, and then its own name."""
    for line in _INCLUDE.findall((_LUA / f"{name}.lua").read_text("utf-8")):
        for part in line.split(", "):
            yield from _parts(f"include/{part}")
    yield name


def _lua_key(name: str) -> str:
    """Returns a key as a Lua expression: a string, or a function of its values."""
    key: Key | KeyOf = vars(Keys)[name]
    texts = [f"'{text}'" for text in f":{key.name}".split("{}")]
    values = ["first", "second"][: len(texts) - 1]
    joined = " .. ".join(["prefix", texts[0], *(part for pair in zip(values, texts[1:], strict=True) for part in pair)])
    return f"function({', '.join(values)}) return {joined} end" if values else joined


class Scripts:
    """Runs the scripts with one client, blocking or async. The names of keys have the prefix."""

    def __init__(self, client: redis.Redis | redis.asyncio.Redis, prefix: str) -> None:
        self._client = client
        self._prefix = prefix
        self._registered: dict[str, Callable[..., Any]] = {}

    def run(self, name: str, request: dict[str, Any], pipe: Pipeline | None = None) -> Any:
        """Runs lua/NAME.lua and returns its reply: of an async client, an awaitable of it.

        With `pipe`, the reply is one of the pipeline's. A value None in the request is an absent field.
        """
        if name not in self._registered:
            self._registered[name] = self._client.register_script(source(name))
        given = {field: value for field, value in request.items() if value is not None}
        return self._registered[name](args=[self._prefix, json.dumps(given, ensure_ascii=False)], client=pipe)
