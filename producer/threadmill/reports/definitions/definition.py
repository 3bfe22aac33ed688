"""The definition of a report, `reports/NAME.toml`: its schedule, documents, prompts and deliveries."""

import re
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from cronsim import CronSimError
from jinja2 import TemplateError
from pydantic import (
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    StringConstraints,
    field_validator,
    model_validator,
)

from threadmill.documents.readers.encoding import check_encoding
from threadmill.documents.readers.jinja import sandbox
from threadmill.documents.source import default_prompt
from threadmill.errors import ThreadmillError
from threadmill.job.lanes import LaneName, TierName
from threadmill.job.message import FileTool
from threadmill.job.model import InputModel
from threadmill.job.prompt import Priority, PromptJob
from threadmill.names import Name
from threadmill.reports.definitions.schedule import About, Schedule
from threadmill.reports.definitions.tables import Budget, Delivery, MapStep, ReduceStep, StepPrompt, Templates

#: Valid names of reports, which are used in batches, keys, paths and mail.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}")

#: The fields of a definition that its jobs have, too.
_JOB_FIELDS = (
    "endpoint",
    "assistant",
    "profile",
    "model",
    "seed",
    "lane",
    "service_tier",
    "timeout_s",
    "priority",
    "tenant",
)

_Share = Annotated[str, StringConstraints(pattern=r"^\d{1,3}%$")]


class ReportDefinition(InputModel):
    """The fields of a report's file. `files.load` reads it."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    name: str
    title: str = ""  #: a template like `paths`; default: the name
    schedule: str | None = None  #: cron, at most once a day; without it, only `report run` produces the report
    time_zone: str = "UTC"
    about: About = "yesterday"  #: the day that a scheduled report is about
    catch_up: NonNegativeInt = 3  #: missed nights that are still produced, in addition to the latest
    paths: Annotated[tuple[str, ...], Field(min_length=1)]
    when_empty: Literal["fail", "skip"] = "fail"  #: what to do in a night without documents
    rows: bool = False
    id_column: str | None = None
    encoding: str | None = None  #: of text and tables; default: detected
    attach: FileTool | None = None  #: upload each file for this tool, in place of its text in the prompt
    split: bool = False  #: ask about longer documents in parts
    max_chars: Annotated[int, Field(ge=100)] | None = None  #: of a document, or with `split` of its parts
    endpoint: str | None = None
    assistant: str | None = None
    profile: str | None = None
    model: str | None = None
    seed: int | None = None
    lane: LaneName | None = None
    service_tier: TierName | None = None
    timeout_s: PositiveFloat | None = None  #: deadline of one job, in seconds
    priority: Priority | None = None  #: of its jobs; default: normal
    tenant: Name | None = None  #: on whose behalf its jobs run; default: each step of each night is its own tenant
    concurrent: PositiveInt | None = None  #: the most jobs of a step that run at a time
    publish_if_failed_at_most: NonNegativeInt | _Share = "10%"  #: documents, or a percentage of them
    keep_days: PositiveInt = 90  #: after its production, the files and the state of a night are deleted
    map: MapStep = MapStep()
    reduce: ReduceStep = ReduceStep()
    templates: Templates = Templates()
    delivery: Delivery = Delivery()
    budget: Budget = Budget()

    @field_validator("name")
    @classmethod
    def _usable(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError("the name of a report has only letters, digits, - and _; rename the file")
        return name

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (LookupError, OSError, ValueError):
            raise ValueError(f"{name!r} is not a time zone; examples are Asia/Taipei and Europe/Berlin") from None
        return name

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, name: str | None) -> str | None:
        try:
            return check_encoding(name) if name is not None else None
        except ThreadmillError as error:
            raise ValueError(str(error).removeprefix("--encoding ")) from None

    @model_validator(mode="after")
    def _documents_agree(self) -> Self:
        kinds = [name for name in ("rows", "attach") if getattr(self, name)]
        if len(kinds) > 1:
            raise ValueError("`rows` and `attach` exclude each other: remove one of them")
        if kinds and (self.split or self.max_chars is not None):
            raise ValueError(f"`split` and `max_chars` apply to texts, not to `{kinds[0]}`: remove them")
        return self

    @property
    def map_prompt(self) -> str:
        return self.map.prompt or default_prompt(self.attach)

    @field_validator("title", "paths")
    @classmethod
    def _good_template(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        for source in (value,) if isinstance(value, str) else value:
            _render(source, date(2026, 1, 1))
        return value

    @model_validator(mode="after")
    def _fires(self) -> Self:
        if self.clock is None:
            return self
        try:
            fires = self.clock.next_fires(datetime(2026, 1, 1, tzinfo=ZoneInfo(self.time_zone)), 3)
        except CronSimError as error:
            raise ValueError(f"schedule {self.schedule!r}: {error}; an example is '0 6 * * *': at 6:00") from None
        if len({fire.night for fire in fires}) < len(fires):
            raise ValueError(f"schedule {self.schedule!r} fires more than once a day; there is one report per day")
        return self

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    @property
    def clock(self) -> Schedule | None:
        """The schedule, None if there is none."""
        return Schedule(self.schedule, self.zone, self.about) if self.schedule is not None else None

    def latest_night(self, now: datetime) -> date:
        """Returns the latest scheduled night; without a schedule, the day of `about`."""
        if self.clock is not None:
            return next(self.clock.last_fires(now)).night
        return now.astimezone(self.zone).date() - timedelta(days=self.about == "yesterday")

    def title_of(self, night: date) -> str:
        return _render(self.title, night) or self.name

    def paths_of(self, night: date) -> list[str]:
        return [_render(path, night) for path in self.paths]

    @cached_property
    def fields(self) -> dict[str, Any]:
        """The job fields that both steps share."""
        return {name: value for name in _JOB_FIELDS if (value := getattr(self, name)) is not None}

    def job_fields(self, step: StepPrompt) -> dict[str, Any]:
        return self.fields | {name: value for name, value in step.fields.items() if value is not None}

    @property
    def probe(self) -> PromptJob:
        """A sample job for checks. Raises InvalidJob."""
        limits = [step.max_tokens for step in (self.map, self.reduce) if step.max_tokens is not None]
        fields = self.job_fields(self.map) | ({"max_completion_tokens": min(limits)} if limits else {})
        return PromptJob.parse({**fields, "prompt": "probe"})

    def may_publish(self, failed: int, documents: int) -> bool:
        """Whether few enough documents failed to publish the report. False if all failed."""
        allowed = self.publish_if_failed_at_most
        limit = allowed if isinstance(allowed, int) else documents * int(allowed[:-1]) / 100
        return failed <= limit and failed < documents


def _render(source: str, night: date) -> str:
    """Renders a title or a path. Raises ValueError."""
    try:
        return sandbox().from_string(source).render(date=night)
    except TemplateError as error:
        raise ValueError(f"{source!r}: {error}; it can use date, as in {{{{ date.strftime('%Y/%m') }}}}") from None
