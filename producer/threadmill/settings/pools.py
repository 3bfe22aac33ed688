"""The pools that jobs may use, and the limits that are set for them."""

from pydantic import JsonValue

from threadmill.errors import InvalidJob
from threadmill.job.prompt import PromptJob
from threadmill.settings.endpoints.abilities import check_abilities
from threadmill.settings.endpoints.limits import PoolLimits
from threadmill.settings.endpoints.pool_name import Pool, pool_name
from threadmill.settings.settings import Settings


def pools_of(settings: Settings, job: PromptJob, key: str | None = None) -> tuple[str, ...]:
    """Returns the names of the pools that a job may use, in order of preference.

    First those of its endpoint, one for each key, then those of the endpoints in `fallback` that can run the job.
    `key`: the only key of its endpoint that the job may use; default: any. Raises SettingsError if there is no such
    endpoint.
    """
    first = settings.endpoint_name(job.endpoint)
    fallback = () if _is_tied(job) else settings.endpoints[first].fallback
    others = (name for name in fallback if _can_run(settings, name, job))
    others_pools = (pool for name in others for pool in _pools_on(settings, job, name))
    return (*_pools_on(settings, job, first, key), *others_pools)


def limits_of(settings: Settings, pool: str) -> PoolLimits:
    """Returns the limits that are set for a pool. An endpoint that the settings do not have has none."""
    endpoint, model, _ = Pool.parse(pool)
    known = settings.endpoints.get(endpoint)
    return known.limits.of_model(model) if known is not None else PoolLimits()


def _pools_on(settings: Settings, job: PromptJob, name: str, only: str | None = None) -> list[str]:
    endpoint = settings.endpoints[name]
    model = settings.model_of(job, endpoint)
    own_model = model if endpoint.limits.has_pool_of(model) else None
    keys = endpoint.key_variables if endpoint.first_key else (None,)
    return [pool_name(name, own_model, key) for key in ((only,) if only in keys else keys)]


def _is_tied(job: PromptJob) -> bool:
    """Whether a job names something that only its own endpoint has."""
    ids = (job.assistant, job.thread, *(file.id for file in job.files), *(each.file_ids for each in job.conversation))
    return any(ids) or job.keep_thread or job.lane == "batch" or any(map(_has_ids, job.tools or ()))


def _has_ids(tool: str | dict[str, JsonValue]) -> bool:
    """Whether the definition of a tool names vector stores or a container of its server."""
    return isinstance(tool, dict) and ("vector_store_ids" in tool or isinstance(tool.get("container"), str))


def _can_run(settings: Settings, name: str, job: PromptJob) -> bool:
    """Whether another endpoint can run a job. Which profiles are applied to it is in Redis, so none is expected."""
    endpoint = settings.endpoints[name]
    if endpoint.has_assistants and (job.profile is not None or endpoint.assistant is None):
        return False
    if not endpoint.has_assistants and settings.model_of(job, endpoint) is None:
        return False
    try:
        check_abilities(name, endpoint, job)
    except InvalidJob:
        return False
    return True
