"""The client's operations on API keys."""

from collections.abc import Iterable
from datetime import datetime

from threadmill.job.api_key import DEFAULT_SCOPES, ApiKey, NewApiKey, new_api_key
from threadmill.operations.base import Operations
from threadmill.store.gateway.api_keys import Admission


class ApiKeyOperations(Operations):
    """The client's operations on API keys."""

    def create_api_key(
        self,
        name: str,
        *,
        scopes: Iterable[str] = DEFAULT_SCOPES,
        endpoints: Iterable[str] | None = None,
        expires_at: datetime | None = None,
        requests_per_minute: int | None = None,
        max_open_jobs: int | None = None,
        max_body_bytes: int | None = None,
        callback_secret_env: str | None = None,
    ) -> NewApiKey:
        """Creates an API key for a caller of the gateway. Its text is known only now: Redis has a hash of it.

        `name` becomes the tenant of the caller's jobs. `ApiKey` documents the other fields; None is no limit. Raises
        InvalidApiKey, ApiKeyExists, and SettingsError for an endpoint that the settings lack.
        """
        allowed = None if endpoints is None else tuple(map(self.settings.endpoint_name, endpoints))
        made = new_api_key(
            name,
            self.store.now(),
            scopes=tuple(scopes),
            endpoints=allowed,
            expires_at=expires_at,
            requests_per_minute=requests_per_minute,
            max_open_jobs=max_open_jobs,
            max_body_bytes=max_body_bytes,
            callback_secret_env=callback_secret_env,
        )
        self.store.add_api_key(made.key)
        return made

    def api_keys(self) -> list[ApiKey]:
        """Returns all API keys by name. One whose record is unreadable matches no secret, and has no scope."""
        return self.store.api_keys()

    def admit(self, key: ApiKey) -> Admission:
        """Counts a request against the `requests_per_minute` of its key, or says how long the caller has to wait.

        An idle caller may make all requests of a minute at once, and then one in each further part of a minute.
        """
        return self.store.admit(key)

    def revoke_api_key(self, name: str) -> None:
        """Deletes an API key. Its caller's jobs continue. Raises ApiKeyNotFound."""
        self.store.delete_api_key(name)
