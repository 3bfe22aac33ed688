"""The producer's operations on sessions of the dashboard. A session's token is stored as a hash, as a password is."""

from hashlib import sha256

from threadmill.store.connection import Connection


class SessionStore(Connection):
    """Begins, reads and ends sessions."""

    def begin_session(self, token: str, key_id: str, life_s: int) -> None:
        """Begins a session that an API key has opened."""
        with self._translate_errors():
            self._redis.set(self._session(token), key_id, ex=life_s)

    def key_of_session(self, token: str) -> str | None:
        """Returns the id of the API key that opened a session; None: it has ended, or never began."""
        with self._translate_errors():
            found = self._redis.get(self._session(token))
        return str(found) if found else None

    def end_session(self, token: str) -> None:
        with self._translate_errors():
            self._redis.delete(self._session(token))

    def _session(self, token: str) -> str:
        return self._keys.session(sha256(token.encode()).hexdigest())
