"""Who calls, and what a caller may do."""

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from threadmill.errors import JobNotFound
from threadmill.job.api_key import ApiKey, Scope
from threadmill.store.records.job import JobRecord
from threadmill_gateway.options import is_loopback
from threadmill_gateway.requests.key_ring import unauthorised
from threadmill_gateway.requests.limits import lower_body_limit
from threadmill_gateway.requests.problems import Problem
from threadmill_gateway.requests.state import Gateway, Served


@dataclass(frozen=True)
class Caller:
    """`key`: its API key; None: the gateway has no keys, and everybody may do everything."""

    key: ApiKey | None = None

    @property
    def name(self) -> str | None:
        """The name of its key, and the tenant of its jobs."""
        return self.key.name if self.key else None

    @property
    def operates(self) -> bool:
        """Whether the jobs and batches of all callers are its own."""
        return self.may(Scope.OPERATE)

    def may(self, scope: Scope) -> bool:
        return self.key is None or scope in self.key.scopes

    def may_use(self, endpoint: str) -> bool:
        return self.key is None or self.key.endpoints is None or endpoint in self.key.endpoints

    def sees(self, record: JobRecord) -> bool:
        """Whether the caller may know that the job exists."""
        return self.operates or record.job.tenant == self.name

    @property
    def owner(self) -> str | None:
        """Whose uploads and batches of files it sees; None: those of all."""
        return None if self.operates else self.name

    def owns(self, owner: str | None) -> bool:
        """Whether it sees what belongs to this owner."""
        return self.operates or self.name == owner

    def stored_key(self, key: str) -> str:
        """Returns an idempotency key as it is stored: two callers may use the same one."""
        return f"{self.name}/{key}" if self.name else key

    def shown_key(self, stored: str) -> str:
        """Returns an idempotency key as the caller wrote it."""
        return stored.removeprefix(f"{self.name}/") if self.name else stored

    def stored_batch(self, batch: str) -> str:
        """Returns the name of a batch as it is stored: the caller's own, unless it operates all."""
        return batch if self.operates else f"{self.name}.{batch}"

    def shown_batch(self, stored: str) -> str:
        """Returns the name of a batch as the caller wrote it."""
        return stored if self.operates else stored.removeprefix(f"{self.name}.")

    def owns_batch(self, stored: str) -> bool:
        return self.operates or stored.startswith(f"{self.name}.")


_BEARER = HTTPBearer(auto_error=False, scheme_name="API key", description="`threadmill keys create NAME` prints it.")


async def caller(
    request: Request,
    response: Response,
    gateway: Served,
    shown: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)],
) -> Caller:
    """Returns who sent a request. Raises Problem if it has no valid key, or its key has no request left now."""
    if gateway.options.open_without_keys and await gateway.keys.is_empty():
        check_host(request)
        return Caller()  # whatever key it shows: an SDK always sends one
    if shown is None:
        raise unauthorised("the request has no API key")
    key = await gateway.keys.key_of(shown.credentials)
    if key.max_body_bytes is not None:
        lower_body_limit(request, key.max_body_bytes, f"API key {key.name}")
    response.headers.update(await _counted(gateway, key))
    return Caller(key)


def check_host(request: Request) -> None:
    """Raises Problem if a request came under another name than this machine's: a web page may have its name lead here
    (DNS rebinding), and could then use a gateway without API keys."""
    if not is_loopback(request.url.hostname or ""):
        raise Problem(
            HTTPStatus.FORBIDDEN,
            f"without API keys, the gateway serves 127.0.0.1 and localhost, not {request.url.hostname!r:.100}",
            "create an API key with `threadmill keys create NAME`",
        )


async def _counted(gateway: Gateway, key: ApiKey) -> dict[str, str]:
    """Counts a request, and returns the headers that say what is left. Raises Problem if nothing is."""
    if key.requests_per_minute is None:
        return {}
    admission = await gateway.client.admit(key)
    headers = {
        "RateLimit-Policy": f'"minute";q={key.requests_per_minute};w=60',
        "RateLimit": f'"minute";r={admission.left or 0};t={math.ceil(admission.full_s)}',
    }
    if admission.wait_s > 0:
        headers["Retry-After"] = str(max(1, math.ceil(admission.wait_s)))
        raise Problem(
            HTTPStatus.TOO_MANY_REQUESTS,
            f"the API key {key.name} may make {key.requests_per_minute:,} requests a minute",
            f"send the request again after {headers['Retry-After']} s",
            headers=headers,
        )
    return headers


def _with(scope: Scope) -> Callable[[Caller], Awaitable[Caller]]:
    async def check(who: Annotated[Caller, Depends(caller)]) -> Caller:
        if not who.may(scope):
            raise Problem(
                HTTPStatus.FORBIDDEN,
                f"the API key {who.name} lacks the scope `{scope}`",
                "use a key that has it, or ask the gateway's operator for one",
                headers={"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scope}"'},
            )
        return who

    return check


#: The parameter of a route that reads, enqueues, or operates.
Reader = Annotated[Caller, Depends(_with(Scope.READ))]
Enqueuer = Annotated[Caller, Depends(_with(Scope.ENQUEUE))]
Operator = Annotated[Caller, Depends(_with(Scope.OPERATE))]


async def record_of(gateway: Gateway, caller: Caller, job_id: str) -> JobRecord:
    """Returns the record of a job. Raises JobNotFound also for a job that the caller may not see."""
    record = await gateway.client.get(job_id)
    if not caller.sees(record):
        raise JobNotFound(job_id)
    return record
