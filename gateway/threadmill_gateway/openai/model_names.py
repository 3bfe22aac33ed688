"""What `model` of a request names: an endpoint, an endpoint with a profile or a model, or a model. PURE."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from threadmill.errors import SettingsError
from threadmill.job.prompt import PromptJob
from threadmill.settings.endpoints.endpoint import Endpoint
from threadmill.settings.settings import Settings
from threadmill_gateway.openai.errors import no_model

#: The endpoint that exists in all settings, and is listed only if somebody means it.
_BUILT_IN = "emulator"


@dataclass(frozen=True)
class Target:
    """Where a job goes. Without `model` and `profile`, the endpoint's own assistant or model answers."""

    endpoint: str
    model: str | None = None
    profile: str | None = None

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of its job."""
        return {"endpoint": self.endpoint, "model": self.model, "profile": self.profile}


def target_of(name: str, settings: Settings) -> Target:
    """Returns what a model's name means. Raises ApiError if no endpoint can have it.

    `ENDPOINT`, `ENDPOINT/PROFILE` or `ENDPOINT/MODEL`; any other name is a model of the usual endpoint.
    """
    if name in settings.endpoints:
        return Target(name)
    endpoint, _, rest = name.partition("/")
    if rest and endpoint in settings.endpoints:
        return Target(endpoint, profile=rest) if rest in settings.profiles else Target(endpoint, model=rest)
    try:
        return Target(settings.endpoint_name(None), model=name)
    except SettingsError:
        known = ", ".join(names(settings)) or "none is configured"
        raise no_model(name, f"name an endpoint ({known}), ENDPOINT/MODEL or ENDPOINT/PROFILE.") from None


def name_of(job: PromptJob, settings: Settings) -> str:
    """Returns the name of a job's model: the shortest that leads to the same endpoint, profile or model."""
    endpoint, rest = job.endpoint or settings.usual_endpoint() or "", job.profile or job.model
    if rest is None:
        return endpoint
    if job.profile is None and endpoint == settings.usual_endpoint() and target_of(rest, settings).model == rest:
        return rest
    return f"{endpoint}/{rest}"


def names(
    settings: Settings, allowed: Collection[str] | None = None, applied: Collection[tuple[str, str]] = ()
) -> Iterator[str]:
    """Yields the names of all endpoints, and of each with the profiles that it can run.

    `allowed`: the endpoints of the caller; None: all. `applied`: the profiles that have an assistant, by endpoint.
    """
    for name, endpoint in settings.endpoints.items():
        if allowed is None and name == _BUILT_IN != settings.default_endpoint:
            continue
        if allowed is None or name in allowed:
            yield name
            yield from (f"{name}/{profile}" for profile in settings.profiles if _runs(name, endpoint, profile, applied))


def _runs(name: str, endpoint: Endpoint, profile: str, applied: Collection[tuple[str, str]]) -> bool:
    return not endpoint.has_assistants or (name, profile) in applied


def model_object(name: str) -> dict[str, Any]:
    """Returns an entry of GET /v1/models. `created` is not known: settings have no date."""
    return {"id": name, "object": "model", "created": 0, "owned_by": "threadmill"}
