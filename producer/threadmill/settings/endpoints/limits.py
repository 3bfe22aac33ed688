"""The table [endpoints.NAME.limits]: how much a server lets its callers do. All workers share these limits."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, StringConstraints

from threadmill.job.model import InputModel

ModelName = Annotated[str, StringConstraints(min_length=1)]


class PoolLimits(InputModel):
    """The limits of one pool. Those that are not set are learned from the server's replies, if `Limits.learn`."""

    requests_per_minute: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None  #: below 1: 0.5 is 30 an hour
    tokens_per_minute: PositiveInt | None = None  #: those that `Limits.tokens_counted` names
    concurrent: PositiveInt | None = None  #: jobs with a run, from dispatch to the end


class Limits(PoolLimits):
    """The limits of each pool of an endpoint, and how its server applies them."""

    tokens_counted: Literal["total", "input", "output"] = "total"
    per_model: bool = False  #: the server limits each model for itself
    all_requests: bool = False  #: the server counts every request, polls too; otherwise only those that start work
    learn: bool = True  #: find out limits that are not set from the server's replies
    #: Models with limits of their own. A limit that a model's table leaves out has the endpoint's value.
    models: dict[ModelName, PoolLimits] = Field(default={})

    def of_model(self, model: str | None) -> PoolLimits:
        """Returns the limits of a model's pool."""
        own = self.models.get(model or "", PoolLimits()).model_dump(exclude_none=True)
        return PoolLimits(**self.model_dump(include=set(PoolLimits.model_fields)) | own)

    def has_pool_of(self, model: str | None) -> bool:
        """Whether a model has a pool of its own."""
        return model is not None and (self.per_model or model in self.models)
