"""Checks a job against what an endpoint supports, without reading its files. Every InvalidJob names the remedy."""

from threadmill.errors import InvalidJob
from threadmill.job.lanes import window_of
from threadmill.job.message import is_data_url, is_path, is_upload, label
from threadmill.job.prompt import PromptJob
from threadmill.settings.endpoints.chat_abilities import check_chat
from threadmill.settings.endpoints.endpoint import Endpoint


def check_abilities(name: str, endpoint: Endpoint, job: PromptJob) -> None:
    """Raises InvalidJob if the endpoint cannot run the job. `name`: the endpoint's."""
    if endpoint.wire == "chat":
        check_chat(name, job)
    _check_lane(name, endpoint, job)
    _check_tier_and_seed(name, endpoint, job)
    if endpoint.wire == "responses":
        _check_fields(name, job)
    _check_token_limits(name, endpoint, job)
    _check_files(name, endpoint, job)


def _check_lane(name: str, endpoint: Endpoint, job: PromptJob) -> None:
    if job.lane is None:
        return
    if endpoint.has_assistants:
        raise InvalidJob(
            f"`lane`: endpoint {name!r} speaks the Assistants API, which has no cheaper lanes; "
            "leave it out, or name an endpoint of kind `responses`"
        )
    if job.lane == "batch" and not endpoint.supports.batches and endpoint.lane_fallback == "none":
        raise InvalidJob(
            f"`lane`: endpoint {name!r} has no batches; leave it out, or set batches = true in "
            f"[endpoints.{name}.supports] if its server has POST /batches"
        )
    if window_of(job.lane) is not None and not endpoint.supports.background and endpoint.lane_fallback == "none":
        raise InvalidJob(
            f"`lane`: {job.lane} needs a server that works in the background, which endpoint {name!r} "
            f"does not (background = false in [endpoints.{name}.supports]); use the lane flex, or leave it out"
        )


def _check_tier_and_seed(name: str, endpoint: Endpoint, job: PromptJob) -> None:
    if job.service_tier is not None and endpoint.has_assistants:
        raise InvalidJob(
            f"`service_tier`: endpoint {name!r} speaks the Assistants API, which has none; "
            "leave it out, or name an endpoint of kind `responses` or `chat`"
        )
    if job.seed is not None and endpoint.wire != "chat":
        api = "Assistants" if endpoint.has_assistants else "Responses"
        raise InvalidJob(
            f"`seed`: endpoint {name!r} speaks the {api} API, which has none; "
            "leave it out, or name an endpoint of kind `chat`"
        )


def _check_fields(name: str, job: PromptJob) -> None:
    """Refuses fields that the Responses API does not have."""
    reason = f"endpoint {name!r} speaks the Responses API, which has none"
    if job.max_prompt_tokens is not None:
        raise InvalidJob(f"max_prompt_tokens: {reason}; leave it out, and shorten the prompt if need be")
    if job.truncation and job.truncation.get("type") == "last_messages":
        raise InvalidJob(f"truncation of type last_messages: {reason}; use auto, or send fewer messages")


def _check_token_limits(name: str, endpoint: Endpoint, job: PromptJob) -> None:
    least = endpoint.min_token_limit
    for field in ("max_prompt_tokens", "max_completion_tokens"):
        limit = getattr(job, field)
        if limit is not None and limit < least:
            raise InvalidJob(
                f"`{field}`: endpoint {name!r} accepts {least} and more, not {limit}; raise it, "
                f"or lower min_token_limit in [endpoints.{name}] if its server accepts less"
            )


def _check_files(name: str, endpoint: Endpoint, job: PromptJob) -> None:
    table = f"[endpoints.{name}.supports]"
    if job.files and not endpoint.supports.files:
        raise InvalidJob(
            f"{job.files[0].shown}: endpoint {name!r} takes no files; if its server does, set files = true in {table}"
        )
    if not endpoint.supports.data_urls and not endpoint.supports.files:
        for source in job.image_sources:
            if is_data_url(source) or is_path(source) or is_upload(source):
                raise InvalidJob(
                    f"{label(source)}: endpoint {name!r} takes images only as https URLs; "
                    f"if its server does, set data_urls = true or files = true in {table}"
                )
