"""The definition of a report, `reports/NAME.toml`: its schedule, documents, prompts and deliveries."""

import os
import re
from datetime import date, datetime, timedelta
from functools import cached_property
from pathlib import Path
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

from threadmill.batch.spending import MAX_ENDPOINT_FAILURES
from threadmill.documents.readers.encoding import check_encoding
from threadmill.documents.readers.jinja import sandbox
from threadmill.errors import ThreadmillError
from threadmill.job.lanes import LaneName
from threadmill.job.message import FileTool
from threadmill.job.model import InputModel
from threadmill.job.prompt import PromptJob
from threadmill.reports.delivery import Smtp, Webhook
from threadmill.reports.schedule import About, Schedule

#: Valid names of reports, which are used in batches, keys, paths and mail.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}")

#: The most characters of answers in one reduction. A message has at most 256,000, with the prompt.
_LONGEST = 200_000

_Share = Annotated[str, StringConstraints(pattern=r"^\d{1,3}%$")]


class StepPrompt(InputModel):
    """The prompt options of one step. The others are those of the report."""

    instructions: str | None = None  #: replace those of the assistant
    max_tokens: PositiveInt | None = None  #: of one answer

    @property
    def fields(self) -> dict[str, Any]:
        return {"instructions": self.instructions, "max_completion_tokens": self.max_tokens}


class MapStep(StepPrompt):
    """The prompt for each document."""

    prompt: str | None = None  #: default: summarise it


class ReduceStep(StepPrompt):
    """The prompt for groups of answers, repeated until one answer is left."""

    prompt: str = (
        "These are summaries of the documents of {{ date }}. Write one report of them in Markdown: "
        "what matters first, with the names of the documents it is in.\n\n{{ text }}"
    )
    at_most: Annotated[int, Field(ge=2)] = 20  #: answers in one reduction
    at_most_chars: Annotated[int, Field(ge=200, le=_LONGEST)] = 60_000  #: characters of them together


class Delivery(InputModel):
    """Where the report is published, and the channels that also report failed nights."""

    folder: Path | None = None  #: for NAME/DATE.html and .md; default: `published` in the folder of the definitions
    url: str | None = None  #: of the folder on a web server, for links
    webhook: Webhook | None = None
    smtp: Smtp | None = None

    @property
    def channels(self) -> dict[str, Webhook | Smtp]:
        """The configured channels by name."""
        named = {"webhook": self.webhook, "smtp": self.smtp}
        return {name: channel for name, channel in named.items() if channel is not None}

    @property
    def unset_variables(self) -> list[str]:
        """The environment variables of the channels that are not set."""
        return [name for each in self.channels.values() for name in each.variables if not os.environ.get(name)]


class Templates(InputModel):
    """Jinja2 files that replace the default ones, and can extend `"report.html"` and `"report.md"`."""

    markdown: Path | None = None
    html: Path | None = None


class Budget(InputModel):
    """Limits of one night, including its reductions. Reaching one fails the night."""

    max_cost: Annotated[float, Field(gt=0)] | None = None  #: computed with [prices] of the settings
    max_tokens: PositiveInt | None = None
    max_failures: PositiveInt | None = None
    max_endpoint_failures: PositiveInt = MAX_ENDPOINT_FAILURES  #: consecutive failures of the endpoint


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
    lane: LaneName | None = None
    timeout_s: PositiveFloat | None = None  #: deadline of one job, in seconds
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
        return self.map.prompt or ("Summarise the file {{ name }}." if self.attach else "Summarise:\n{{ text }}")

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
        names = ("endpoint", "assistant", "profile", "model", "lane", "timeout_s")
        return {name: value for name in names if (value := getattr(self, name)) is not None}

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
        most = allowed if isinstance(allowed, int) else documents * int(allowed[:-1]) / 100
        return failed <= most and failed < documents


def _render(source: str, night: date) -> str:
    """Renders a title or a path. Raises ValueError."""
    try:
        return sandbox().from_string(source).render(date=night)
    except TemplateError as error:
        raise ValueError(f"{source!r}: {error}; it can use date, as in {{{{ date.strftime('%Y/%m') }}}}") from None
