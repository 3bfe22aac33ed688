"""What Redis replies while it cannot be used is told apart, however redis-py, a script or kombu wraps it."""

import pytest
import redis
from kombu.exceptions import OperationalError
from redis import exceptions
from redis._parsers.base import BaseParser

from threadmill.errors import JobNotFound, StoreRefused, StoreUnavailable
from threadmill.redis.errors import is_away, may_have_run, trouble_of
from threadmill.store.connection import translate_errors

READ_ONLY = "READONLY You can't write against a read only replica."

#: What Redis replies, what is said of it, and whether a producer's call may simply be repeated.
REPLIES = [
    (READ_ONLY, "is a read-only replica", True),
    (f"{READ_ONLY} script: 9b2b, on @user_script:75.", "is a read-only replica", True),
    (
        "ERR Error running script (call to f_9b2b): @user_script:75: @user_script: 75: -READONLY You can't write",
        "is a read-only replica",
        True,
    ),
    ("UNBLOCKED force unblock from blocking operation, instance state changed", "changed its role", True),
    ("REDIRECT 10.0.0.2:6379", "is a replica", True),
    ("MASTERDOWN Link with MASTER is down", "is a replica without a connection to its primary", True),
    ("LOADING Redis is loading the dataset in memory", "is still loading its data", True),
    ("BUSY Redis is busy running a script.", "is busy with a long script", True),
    ("UNKILLABLE Sorry the script already executed write commands", "is busy with a long script", True),
    ("NOREPLICAS Not enough good replicas to write.", "too few replicas are connected", True),
    ("TRYAGAIN Multiple keys request during rehashing", "dropped a command", True),
    ("NOSCRIPT No matching script.", "dropped a command", True),
    ("EXECABORT Transaction discarded because of previous errors.", "dropped a command", True),
    ("EXECABORT Transaction discarded because of: OOM command not allowed", "is out of memory", False),
    ("ERR max number of clients reached", "accepts no more connections", True),
    ("OOM command not allowed when used memory > 'maxmemory'.", "is out of memory", False),
    ("MISCONF Redis is configured to save RDB snapshots, but", "cannot save to its disk", False),
    ("NOAUTH Authentication required.", "needs a password", False),
    ("NOAUTH HELLO must be called with the client already authenticated", "needs a password", False),
    ("ERR invalid password", "refused the password", False),
    ("WRONGPASS invalid username-password pair or user is disabled.", "refused the password", False),
    ("NOPERM User u has no permissions to run the 'info' command", "does not permit a command", False),
    ("ERR DB index is out of range", "has no database of this number", False),
    ("MOVED 3999 127.0.0.1:6381", "is a Redis Cluster", False),
    ("CLUSTERDOWN The cluster is down", "is a Redis Cluster", False),
]

#: What our own mistakes look like, and a prompt that mentions a state of Redis.
OTHERS = [
    "ERR unknown command 'FROBNICATE', with args beginning with: 'OOM command not allowed'",
    "WRONGTYPE Operation against a key holding the wrong kind of value",
    "ERR value is not an integer or out of range",
    "BUSYKEY Target key name already exists.",
]


def raised(reply: str) -> redis.RedisError:
    """What redis-py makes of a reply."""
    return BaseParser.parse_error(reply)


def in_a_pipeline(reply: str) -> redis.RedisError:
    """The same, as redis-py raises it for a command of a pipeline, which may quote a prompt."""
    error = raised(reply)
    error.args = (f"Command # 1 (EVALSHA 9b2b 0 LOADING OOM READONLY) of pipeline caused error: {error.args[0]}",)
    return error


def through_kombu(reply: str) -> Exception:
    try:
        try:
            raise in_a_pipeline(reply)
        except redis.RedisError as error:
            raise OperationalError(str(error)) from error
    except OperationalError as error:
        return error


@pytest.mark.parametrize("wrapped", [raised, in_a_pipeline, through_kombu])
@pytest.mark.parametrize(("reply", "says", "may_repeat"), REPLIES)
def test_a_state_of_redis_is_recognised_and_named(wrapped, reply, says, may_repeat):
    error = wrapped(reply)
    with pytest.raises(StoreUnavailable) as told, translate_errors("redis://:s3cret@h"):
        raise error
    assert says in str(told.value)
    assert isinstance(told.value, StoreRefused) is not may_repeat
    assert "LOADING OOM" not in str(told.value)
    assert "s3cret" not in str(told.value)
    assert says in trouble_of(error).what
    assert is_away(error), "a worker that runs waits"


@pytest.mark.parametrize("wrapped", [raised, in_a_pipeline, through_kombu])
@pytest.mark.parametrize("reply", OTHERS)
def test_an_unknown_command_is_not_a_state_of_redis(wrapped, reply):
    error = wrapped(reply)
    assert not is_away(error)
    with pytest.raises(StoreUnavailable) as told, translate_errors("redis://h"):
        raise error
    assert "LOADING OOM" not in str(told.value)


def test_a_reply_that_redis_py_cannot_parse_is_store_unavailable():
    with pytest.raises(StoreUnavailable, match=r"cannot be read \(ValueError\)"), translate_errors("redis://h"):
        raise raised("MOVED 3999 127.0.0.1:6381 script: 9b2b")


def test_our_own_exceptions_pass():
    with pytest.raises(JobNotFound), translate_errors("redis://h"):
        raise JobNotFound("a-job")


@pytest.mark.parametrize(
    ("error", "may_have"),
    [
        (redis.ConnectionError("Connection closed by server."), True),
        (redis.TimeoutError("Timeout reading from socket"), True),
        (exceptions.InvalidResponse("Protocol error"), True),
        (redis.ConnectionError("Error 111 connecting to 127.0.0.1:6379. Connection refused."), False),
        (redis.TimeoutError("Timeout connecting to server"), False),
        *((raised(reply), False) for reply, _, _ in REPLIES),
        (None, False),
    ],
)
def test_only_a_command_whose_reply_is_lost_may_have_run(error, may_have):
    assert may_have_run(error) is may_have
