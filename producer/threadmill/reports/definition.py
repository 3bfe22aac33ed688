"""A report in a file, `reports/NAME.toml`: what is read, asked, written and sent, and when."""

import os
import re
from datetime import date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from cronsim import CronSimError
from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import SandboxedEnvironment
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
from threadmill.border import Border
from threadmill.documents.encoding import check_encoding
from threadmill.errors import ThreadmillError
from threadmill.job import PromptJob
from threadmill.lanes import LaneName
from threadmill.message import FileTool
from threadmill.reports.delivery import Smtp, Webhook
from threadmill.reports.nights import About, Schedule

#: Of a report's name: it stands in batches, keys, paths and mail.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}")

#: Characters of one reduction; a message holds 256,000, and the prompt needs room too.
_LONGEST = 200_000

_Share = Annotated[str, StringConstraints(pattern=r"^\d{1,3}%$")]


class Asking(Border):
    """How one step asks; what is not said here stands in the report."""

    instructions: str | None = None  #: in place of the assistant's own
    max_tokens: PositiveInt | None = None  #: of one answer

    @property
    def fields(self) -> dict[str, Any]:
        return {"instructions": self.instructions, "max_completion_tokens": self.max_tokens}


class Map(Asking):
    """Asked of each document."""

    prompt: str | None = None  #: default: summarise it


class Reduce(Asking):
    """Asked of the answers, of as many at a time as the limits allow, until one is left."""

    prompt: str = (
        "These are summaries of the documents of {{ date }}. Write one report of them in Markdown: "
        "what matters first, with the names of the documents it is in.\n\n{{ text }}"
    )
    at_most: Annotated[int, Field(ge=2)] = 20  #: answers in one reduction
    at_most_chars: Annotated[int, Field(ge=200, le=_LONGEST)] = 60_000  #: characters of them together


class Delivery(Border):
    """The files are written in any case; the rest is sent after that, and told of a failed night too."""

    folder: Path | None = None  #: gets NAME/DATE.html and .md; default: `published` in the folder of the definitions
    url: str | None = None  #: under which the folder is served; makes the link
    webhook: Webhook | None = None
    smtp: Smtp | None = None

    @property
    def channels(self) -> dict[str, Webhook | Smtp]:
        """What the report is sent through, by name."""
        named = {"webhook": self.webhook, "smtp": self.smtp}
        return {name: channel for name, channel in named.items() if channel is not None}

    @property
    def unset_variables(self) -> list[str]:
        """The environment variables that the channels need and that are not set."""
        return [name for each in self.channels.values() for name in each.variables if not os.environ.get(name)]


class Templates(Border):
    """Jinja2 files in place of ours; each may extend ours: `{% extends "report.html" %}`, `"report.md"`."""

    markdown: Path | None = None
    html: Path | None = None


class Budget(Border):
    """What one report may take, its reductions included; reaching it fails the report."""

    max_cost: Annotated[float, Field(gt=0)] | None = None  #: by the settings' [prices]
    max_tokens: PositiveInt | None = None
    max_failures: PositiveInt | None = None
    max_endpoint_failures: PositiveInt = MAX_ENDPOINT_FAILURES  #: jobs in a row that fail because of the endpoint


class ReportDefinition(Border):
    """The fields of a report's file; files.py reads it."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    name: str
    title: str = ""  #: a template, as `paths` are; default: the name
    schedule: str | None = None  #: cron, once a day at most; without one, only `report run` produces it
    time_zone: str = "UTC"
    about: About = "yesterday"  #: the day a fire is about
    catch_up: NonNegativeInt = 3  #: missed nights that are still made, beside the latest
    paths: Annotated[tuple[str, ...], Field(min_length=1)]
    when_empty: Literal["fail", "skip"] = "fail"  #: what a night without documents is
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
    timeout_s: PositiveFloat | None = None  #: of one job
    publish_if_failed_at_most: NonNegativeInt | _Share = "10%"  #: documents, or their share
    keep_days: PositiveInt = 90  #: files and state of a night, from when it was made
    map: Map = Map()
    reduce: Reduce = Reduce()
    templates: Templates = Templates()
    delivery: Delivery = Delivery()
    budget: Budget = Budget()

    @field_validator("name")
    @classmethod
    def _usable(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError("a report is called by letters, digits, - and _; rename the file")
        return name

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (LookupError, OSError, ValueError):
            raise ValueError(f"{name!r} is no time zone; write one as Asia/Taipei or Europe/Berlin") from None
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
            raise ValueError(f"`split` and `max_chars` are for texts, not for `{kinds[0]}`: remove them")
        return self

    @property
    def map_prompt(self) -> str:
        return self.map.prompt or ("Summarise the file {{ name }}." if self.attach else "Summarise:\n{{ text }}")

    @field_validator("title", "paths")
    @classmethod
    def _good_template(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        for source in (value,) if isinstance(value, str) else value:
            _dated(source, date(2026, 1, 1))
        return value

    @model_validator(mode="after")
    def _fires(self) -> Self:
        if self.clock is None:
            return self
        try:
            fires = self.clock.next_fires(datetime(2026, 1, 1, tzinfo=ZoneInfo(self.time_zone)), 3)
        except CronSimError as error:
            raise ValueError(f"schedule {self.schedule!r}: {error}; write as in '0 6 * * *': at 6:00") from None
        if len({fire.night for fire in fires}) < len(fires):
            raise ValueError(f"schedule {self.schedule!r} fires more than once a day; a report is about a day")
        return self

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    @property
    def clock(self) -> Schedule | None:
        """None without a schedule."""
        return Schedule(self.schedule, self.zone, self.about) if self.schedule is not None else None

    def latest_night(self, now: datetime) -> date:
        """The day of the latest fire; without a schedule, `about` as of `now`."""
        if self.clock is not None:
            return next(self.clock.last_fires(now)).night
        return now.astimezone(self.zone).date() - timedelta(days=self.about == "yesterday")

    def title_of(self, night: date) -> str:
        return _dated(self.title, night) or self.name

    def paths_of(self, night: date) -> list[str]:
        return [_dated(path, night) for path in self.paths]

    @cached_property
    def fields(self) -> dict[str, Any]:
        """The job fields of both steps that were given."""
        names = ("endpoint", "assistant", "profile", "model", "lane", "timeout_s")
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    def job_fields(self, step: Asking) -> dict[str, Any]:
        return self.fields | {name: value for name, value in step.fields.items() if value is not None}

    @property
    def probe(self) -> PromptJob:
        """A job as those of both steps will be; raises InvalidJob."""
        limits = [step.max_tokens for step in (self.map, self.reduce) if step.max_tokens is not None]
        fields = self.job_fields(self.map) | ({"max_completion_tokens": min(limits)} if limits else {})
        return PromptJob.parse({**fields, "prompt": "probe"})

    def may_publish(self, failed: int, documents: int) -> bool:
        """Whether so few failed that there is a report; never if all did."""
        allowed = self.publish_if_failed_at_most
        most = allowed if isinstance(allowed, int) else documents * int(allowed[:-1]) / 100
        return failed <= most and failed < documents


def _dated(source: str, night: date) -> str:
    """Raises ValueError."""
    try:
        return SandboxedEnvironment(undefined=StrictUndefined).from_string(source).render(date=night)
    except TemplateError as error:
        raise ValueError(f"{source!r}: {error}; it can use date, as in {{{{ date.strftime('%Y/%m') }}}}") from None
