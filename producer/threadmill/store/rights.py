"""The rights that producers and workers need in Redis: commands, keys and channels for its ACL.

Each command is tried inside a transaction that is discarded: Redis checks the rights when it queues a command and
executes none. The keys used do not exist.
"""

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import redis

from threadmill.redis.url import parse
from threadmill.settings.settings import Settings

#: Commands on records, called directly or by the scripts.
_RECORDS = """
    del KEY; exists KEY; expire KEY 1; get KEY; hdel KEY f; hexists KEY f; hget KEY f; hgetall KEY; hincrby KEY f 0;
    hlen KEY; hmget KEY f; hrandfield KEY 1; hset KEY f v; hsetnx KEY f v; hvals KEY; lrange KEY 0 0; persist KEY;
    set KEY v; xadd KEY * f v; zadd KEY 0 m; zcard KEY; zrange KEY 0 0; zrangebyscore KEY 0 0; zrank KEY m;
    zrem KEY m; zremrangebyscore KEY 0 0; zscore KEY m
"""
_RECORDS_OF_PRODUCER = """
    hkeys KEY; hscan KEY 0; pexpire KEY 1; xread streams KEY 0; xrevrange KEY + -; zcount KEY 0 0; zmscore KEY m;
    zrevrange KEY 0 0
"""
_RECORDS_OF_WORKER = """
    incrby KEY 1; lpush KEY v; ltrim KEY 0 0; pexpire KEY 1; sadd KEY m; smembers KEY; srem KEY m; xdel KEY 0-1;
    zremrangebyrank KEY 0 0
"""

#: With INFO, a worker notices that Redis has restarted, and gives other workers time to renew their leases.
INFO = "+info"

#: Commands without a key.
_ANYWHERE = "ping; time; script load x; script exists x; evalsha x 0"

#: Commands of the transaction. EXEC is not tried, because it would execute the others.
_TRANSACTION = ("multi", "exec", "discard")

#: How Celery stores and publishes results. A worker does so for tasks chained after a job too.
_RESULTS = "del KEY; set KEY v"
_CHAINED = "get KEY; setex KEY 1 v"
_ANNOUNCED = "publish KEY m"

#: Commands on the queue and on kombu's keys.
_SENDING = "lpush KEY v; llen KEY"
_BINDING = "sadd KEY m"
_RECEIVING = "brpop KEY 1; lrange KEY 0 0; rpush KEY v"
_BINDINGS = "sadd KEY m; srem KEY m; smembers KEY; zadd KEY 0 m; zrangebyscore KEY 0 0; zrem KEY m; del KEY; exists KEY"
_UNACKED = """
    hset KEY f v; hget KEY f; hdel KEY f; zadd KEY 0 m; zrem KEY m; zrange KEY 0 0; zrevrangebyscore KEY 0 0; set KEY v;
    get KEY; del KEY; watch KEY; unwatch
"""
_MAILBOX = "del KEY; lpush KEY v; llen KEY"
_LISTENING = "psubscribe KEY; punsubscribe KEY"


@dataclass(frozen=True)
class Right:
    """A command to try, and the ACL rule for its key or channel; '' if it has neither."""

    command: tuple[str, ...]
    rule: str = ""

    @property
    def name(self) -> str:
        """The name of the command in an ACL rule."""
        return "|".join(self.command[:2]) if self.command[0] == "script" else self.command[0]


def of_producer(settings: Settings) -> tuple[Right, ...]:
    return (
        *_rights(_ANYWHERE + _select(settings)),
        *_rights(_RECORDS + ";" + _RECORDS_OF_PRODUCER, f"{settings.key_prefix}:acl-trial", _records(settings)),
        *_rights(_RESULTS, "celery-task-meta-acl-trial", "~celery-task-meta-*"),
        *_rights(_ANNOUNCED, "celery-task-meta-acl-trial", "&celery-task-meta-*"),
        *_rights(_SENDING, f"{settings.queue}-acl-trial", f"~{settings.queue}*"),
        *_rights(_BINDING, "_kombu.acl-trial", "~_kombu.*"),
    )


def of_worker(settings: Settings) -> tuple[Right, ...]:
    """The rights of a worker. It works without INFO; see `INFO`."""
    database = _database(settings)
    commands = f"/{database}.celery.pidbox"
    events = f"/{database}.celeryev/"
    return (
        *_rights(_ANYWHERE + "; info server" + _select(settings)),
        *_rights(_RECORDS + ";" + _RECORDS_OF_WORKER, f"{settings.key_prefix}:acl-trial", _records(settings)),
        *_rights(_RESULTS + ";" + _CHAINED, "celery-task-meta-acl-trial", "~celery-task-meta-*"),
        *_rights(_ANNOUNCED, "celery-task-meta-acl-trial", "&celery-task-meta-*"),
        *_rights(_SENDING + ";" + _RECEIVING, f"{settings.queue}-acl-trial", f"~{settings.queue}*"),
        *_rights(_BINDINGS, "_kombu.acl-trial", "~_kombu.*"),
        *_rights(_UNACKED, "unacked-acl-trial", "~unacked*"),
        *_rights(_MAILBOX, "acl-trial.celery.pidbox", "~*.celery.pidbox*"),
        *_rights(_LISTENING, commands, f"&{commands}"),
        *_rights(_ANNOUNCED, f"{events}acl-trial", f"&{events}*"),
    )


def of_scheduler(settings: Settings) -> tuple[Right, ...]:
    """The rights of a scheduler of reports: it enqueues as producers do, and receives ticks as workers do."""
    return tuple(dict.fromkeys((*of_producer(settings), *of_worker(settings))))


#: Who uses Redis, and the rights that each needs. A service, a command and the gateway are producers.
ROLES: Mapping[str, Callable[[Settings], tuple[Right, ...]]] = {
    "producer": of_producer,
    "worker": of_worker,
    "scheduler": of_scheduler,
}


def set_user(role: str, settings: Settings) -> str:
    """Returns the line for a shell that makes a user in Redis with exactly the rights of a role."""
    rules = acl(ROLES[role](settings))
    return shlex.join(["redis-cli", "ACL", "SETUSER", role, "on", ">PASSWORD", "resetchannels", *rules])


def grant(settings: Settings, rules: Iterable[str]) -> str:
    """Returns the command that adds ACL rules to the user in `redis_url`."""
    user = parse(settings.redis_url).options.get("username", "default")
    return f"ACL SETUSER {user} {' '.join(rules)}"


def acl(rights: Iterable[Right]) -> list[str]:
    """Returns the rules for ACL SETUSER that grant these rights."""
    found = list(rights)
    keys = dict.fromkeys(right.rule for right in found if right.rule)
    return [*keys, *sorted({f"+{name}" for name in (*_TRANSACTION, *(right.name for right in found))})]


def missing(client: redis.Redis, rights: Sequence[Right]) -> list[str]:
    """Returns the rules for ACL SETUSER that the client lacks. Raises redis.RedisError."""
    before = [right for right in rights if right.name == "watch"]  # harmless, and not allowed in a transaction
    rules: dict[str, None] = {}
    with client.client() as single:  # type: ignore[no-untyped-call]  # one connection, for a transaction
        single.response_callbacks.clear()  # replies are QUEUED
        for right in before:
            rules |= _try(single, right)
        try:
            single.execute_command("multi")
        except redis.exceptions.NoPermissionError:
            return [*rules, "+multi"]
        except redis.ResponseError:  # without a transaction, Redis would execute the commands
            return list(rules)
        for right in (*(right for right in rights if right not in before), Right(("discard",))):
            rules |= _try(single, right)
        if "+discard" in rules:
            single.connection.disconnect()  # else the next command would join the transaction
    return list(rules)


def _try(client: redis.Redis, right: Right) -> dict[str, None]:
    """Tries a command; returns the missing rule, if any, as a key."""
    try:
        client.execute_command(*right.command)  # type: ignore[no-untyped-call]
    except redis.exceptions.NoPermissionError as error:
        is_command = "to run" in str(error) or not right.rule
        return {f"+{right.name}" if is_command else right.rule: None}
    except redis.ResponseError:  # for example, memory is full; this says nothing about rights
        pass
    return {}


def _rights(commands: str, key: str = "", rule: str = "") -> Iterator[Right]:
    for command in commands.split(";"):
        words = command.split()
        yield Right(tuple(key if word == "KEY" else word for word in words), rule if "KEY" in words else "")


def _database(settings: Settings) -> int:
    return int(parse(settings.redis_url).options.get("db", 0))


def _select(settings: Settings) -> str:
    database = _database(settings)
    return f"; select {database}" if database else ""


def _records(settings: Settings) -> str:
    """Returns the rule for records. By default the rule for the queue covers them too."""
    covered = f"{settings.key_prefix}:".startswith(settings.queue)
    return f"~{settings.queue}*" if covered else f"~{settings.key_prefix}:*"
