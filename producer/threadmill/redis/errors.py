"""Classifies errors of redis-py: why Redis cannot be used, and the remedy."""

import re
from dataclasses import dataclass

import redis
from redis import exceptions
from redis.sentinel import MasterNotFoundError


@dataclass(frozen=True)
class Trouble:
    """Why Redis cannot be used. `what` continues a sentence with the subject "Redis".

    `is_refusal`: a retry fails until somebody changes a setting.
    `needs_settings`: of Redis or of its clients; else what ends it may also happen by itself.
    """

    what: str
    remedy: str
    is_refusal: bool = False
    needs_settings: bool = False


class SentinelRefusal(MasterNotFoundError):
    """The sentinels refuse this client or do not know the master."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}: {remedy}")
        self.trouble = Trouble(what, remedy, is_refusal=True, needs_settings=True)


_ROLE = "a failover may be under way; if this lasts, set REDIS_URL to the primary"
CLUSTER = Trouble(
    "is a Redis Cluster, which threadmill does not support", "use a Redis without cluster mode", True, True
)
_STALE = Trouble("dropped a command when its state changed", "try again")

#: By the code at the start of an error reply. redis-py has classes for some of them.
_BY_CODE = {
    "BUSY": Trouble("is busy with a long script", "wait, or stop it with SCRIPT KILL"),
    "CLUSTERDOWN": CLUSTER,
    "CROSSSLOT": CLUSTER,
    "EXECABORT": _STALE,
    "LOADING": Trouble("is still loading its data", "wait until it has"),
    "MASTERDOWN": Trouble("is a replica without a connection to its primary", _ROLE),
    "MISCONF": Trouble(
        "accepts no writes because it cannot save to its disk", "free disk space there, and see Redis' log", True
    ),
    "MOVED": CLUSTER,
    "NOREPLICAS": Trouble(
        "accepts no writes because too few replicas are connected", "start them, or lower its `min-replicas-to-write`"
    ),
    "NOSCRIPT": _STALE,
    "OOM": Trouble("is out of memory", "raise its `maxmemory`, or let it run on a larger machine", True),
    "READONLY": Trouble("is a read-only replica", _ROLE),
    "REDIRECT": Trouble("is a replica", _ROLE),
    "TRYAGAIN": _STALE,
    "UNBLOCKED": Trouble("changed its role", _ROLE),
    "UNKILLABLE": Trouble("is busy with a long script", "wait for the script to end"),
}

_CODE_OF = {
    exceptions.AskError: "MOVED",
    exceptions.BusyLoadingError: "LOADING",
    exceptions.ClusterCrossSlotError: "CROSSSLOT",
    exceptions.ClusterDownError: "CLUSTERDOWN",
    exceptions.ExecAbortError: "EXECABORT",
    exceptions.MasterDownError: "MASTERDOWN",
    exceptions.NoScriptError: "NOSCRIPT",
    exceptions.OutOfMemoryError: "OOM",
    exceptions.ReadOnlyError: "READONLY",
    exceptions.TryAgainError: "TRYAGAIN",
}

#: A code at the start or in quotes: Redis 6 quotes the error of a script, and EXECABORT its cause.
_CODE = re.compile(r"(?:^|: -|because of: )([A-Z]+)\b")

#: Replies of a cluster's node to threadmill's scripts.
_IN_CLUSTER = re.compile(r"in a cluster|the cluster is down|same slot", re.IGNORECASE)


def trouble_of(error: BaseException | None) -> Trouble | None:
    """Returns why Redis cannot be used; None if the error does not say so."""
    error = redis_error_of(error)
    if error is None:
        return None
    if isinstance(error, SentinelRefusal):
        return error.trouble
    said = reply_of(error)
    if isinstance(error, redis.AuthenticationError):
        return _password(said)
    if isinstance(error, exceptions.NoPermissionError) or "user executing the script" in said:
        remedy = "permit it in the ACL of the user in REDIS_URL; `threadmill doctor` names all that is missing"
        return Trouble(f"does not permit a command ({said})", remedy, True, True)
    if "DB index" in said:
        return Trouble(
            "has no database of this number", "use a lower one in REDIS_URL; Redis has 0 to 15 by default", True, True
        )
    if trouble := _by_code(error, said):
        return trouble
    if "max number of clients" in said:
        return Trouble("accepts no more connections", "raise its `maxclients`, or run fewer clients")
    if isinstance(error, redis.ConnectionError | redis.TimeoutError):
        return _unreachable(said)
    if isinstance(error, exceptions.InvalidResponse):
        return Trouble("gave a reply that cannot be read", "check that REDIS_URL leads to a Redis")
    return None


def redis_error_of(error: BaseException | None) -> redis.RedisError | None:
    """Returns the error, or its cause if kombu or Celery raised it."""
    while error is not None and not isinstance(error, redis.RedisError):
        error = error.__cause__
    return error


def may_have_run(error: BaseException | None) -> bool:
    """Whether Redis may have executed the command: it was sent, and the reply was lost or is unreadable."""
    if error is None or isinstance(
        error, redis.AuthenticationError | exceptions.BusyLoadingError | redis.ResponseError | MasterNotFoundError
    ):
        return False
    return not any(words in str(error) for words in ("connecting to", "max number of clients"))


def is_away(error: BaseException) -> bool:
    """Whether Redis cannot be used now, so that a later retry may help."""
    return trouble_of(error) is not None


def reply_of(error: redis.RedisError) -> str:
    """Returns Redis' reply without the command's arguments and the script's name, which redis-py and Redis add."""
    said = str(error).rpartition("caused error: ")[2].partition(" script: ")[0]
    return said.strip().rstrip(".")


def _by_code(error: redis.RedisError, said: str) -> Trouble | None:
    quoted = _CODE.search(said)
    if quoted and quoted[1] in _BY_CODE:
        return _BY_CODE[quoted[1]]
    if _IN_CLUSTER.search(said):
        return CLUSTER
    code = next((_CODE_OF[kind] for kind in type(error).__mro__ if kind in _CODE_OF), "")
    return _BY_CODE.get(code)


def _unreachable(said: str) -> Trouble:
    if "CERTIFICATE_VERIFY_FAILED" in said:
        remedy = "if a private authority has signed it, add ssl_ca_certs=FILE, its certificate, after `?` in REDIS_URL"
        return Trouble(f"has a certificate that is not trusted ({said})", remedy, needs_settings=True)
    return Trouble(f"does not answer ({said})", "start it, or set REDIS_URL")


def _password(said: str) -> Trouble:
    if "without any password" in said:
        return Trouble("has no password, but REDIS_URL gives one", "remove it from REDIS_URL", True, True)
    if "invalid" in said:
        return Trouble("refused the password", "correct it in REDIS_URL; percent-encode special characters", True, True)
    return Trouble("needs a password", "set REDIS_URL=redis://:PASSWORD@HOST:6379/0", True, True)
