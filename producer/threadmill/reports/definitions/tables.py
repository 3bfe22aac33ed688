"""The tables of a report's definition: [map], [reduce], [delivery], [templates] and [budget]."""

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, PositiveInt

from threadmill.batch.spending import MAX_ENDPOINT_FAILURES
from threadmill.job.model import InputModel
from threadmill.reports.delivery.smtp import Smtp
from threadmill.reports.delivery.webhook import Webhook

#: The most characters of answers in one reduction. A message has at most 256,000, with the prompt.
_LONGEST = 200_000


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
