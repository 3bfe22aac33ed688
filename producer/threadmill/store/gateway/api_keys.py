"""The producer's operations on the API keys of the gateway."""

from typing import NamedTuple, cast

from threadmill.errors import ApiKeyExists, ApiKeyNotFound
from threadmill.job.api_key import ApiKey
from threadmill.names import printable
from threadmill.store.connection import Connection
from threadmill.stored import fault, leave_out


class Admission(NamedTuple):
    """Whether a request with an API key may be served now. Of a key without a limit, all fields have their defaults."""

    wait_s: float = 0.0  #: how long until the caller may try again; 0: the request is admitted, and counted
    left: int | None = None  #: further requests that it may make now
    full_s: float = 0.0  #: how long until it may make all `requests_per_minute` at once


class ApiKeyStore(Connection):
    """Adds, reads and deletes API keys."""

    def add_api_key(self, key: ApiKey) -> None:
        """Raises ApiKeyExists if there is one with this name."""
        with self._translate_errors():
            is_new = self._redis.hsetnx(self._keys.api_keys, key.name, key.stored)
        if not is_new:
            raise ApiKeyExists(key.name)

    def api_keys(self) -> list[ApiKey]:
        """Returns all keys by name, also those that have expired. For an unreadable one, returns `ApiKey.unreadable`.

        To leave that one out could make a gateway believe that there are no keys, and that everybody may call it.
        """
        with self._translate_errors():
            stored = cast(dict[str, str], self._redis.hgetall(self._keys.api_keys))
        return [_read(name, stored[name]) for name in sorted(stored)]

    def delete_api_key(self, name: str) -> None:
        """Raises ApiKeyNotFound."""
        with self._translate_errors():
            is_deleted = self._redis.hdel(self._keys.api_keys, name)
        if not is_deleted:
            raise ApiKeyNotFound(name)

    def admit(self, key: ApiKey) -> Admission:
        """Counts a request of a key with `requests_per_minute`, or says how long its caller has to wait.

        All gateways count together. A request that is refused does not count.
        """
        if key.requests_per_minute is None:
            return Admission()
        outcome, left, full_s, wait_s = self._run("keys/admit", id=key.id, per_minute=key.requests_per_minute)
        return Admission(0.0 if outcome == "admitted" else float(wait_s), int(left), float(full_s))


def _read(name: str, stored: str) -> ApiKey:
    try:
        return ApiKey.read(name, stored)
    except (ValueError, RecursionError) as error:
        leave_out(f"API key {name}", *fault(error))
        return ApiKey.unreadable(printable(name))
