"""The search for jobs, as the address of its page says it. PURE."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from shlex import quote
from typing import Any, Self

from threadmill.job.result import FailureKind, JobState
from threadmill.names import NAME_RULE, is_name

#: Jobs on a page.
PAGE = 50

#: Jobs that are read for a page; if few of them match, the next page goes on.
MOST_READ = 300

#: Characters of a field of the search.
_LONGEST = 500


class InvalidSearch(ValueError):
    """A field of the search has no valid value."""


@dataclass(frozen=True)
class Search:
    """What to look for, as it was typed; '': anything. `metadata`: KEY=VALUE, several separated by spaces.

    `since`, `until`: times as a browser sends them, in the time zone of the gateway.
    """

    state: str = ""
    failure: str = ""
    endpoint: str = ""
    batch: str = ""
    tenant: str = ""
    metadata: str = ""
    since: str = ""
    until: str = ""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Self:
        """Reads the parameters of an address; unknown ones are ignored."""
        return cls(**{field.name: query.get(field.name, "").strip()[:_LONGEST] for field in fields(cls)})

    @property
    def given(self) -> dict[str, str]:
        """The fields that have a value."""
        return {field.name: value for field in fields(self) if (value := getattr(self, field.name))}

    def chosen(self) -> dict[str, Any]:
        """Returns the arguments of `Client.job_page`. Raises InvalidSearch."""
        chosen: dict[str, Any] = {name: self.given[name] for name in ("endpoint", "tenant") if name in self.given}
        if self.batch:
            if not is_name(self.batch):
                raise InvalidSearch(f"no batch can have the name {self.batch!r}: {NAME_RULE}")
            chosen["batch"] = self.batch
        if self.state:
            chosen["state"] = _member(JobState, self.state)
        if self.failure:
            chosen["failure"] = _member(FailureKind, self.failure)
        if self.metadata:
            chosen["metadata"] = _pairs(self.metadata)
        return chosen | {name: _moment(getattr(self, name)) for name in ("since", "until") if name in self.given}

    @property
    def command(self) -> str:
        """The command that lists the same jobs."""
        given = self.given
        options = [
            f"--{name} {quote(given[name])}" for name in ("state", "failure", "endpoint", "batch") if name in given
        ]
        options += [f"--metadata {quote(pair)}" for pair in self.metadata.split()]
        options += [f"--{name} {quote(given[name])}" for name in ("tenant", "since") if name in given]
        return " ".join(["threadmill jobs", *options])


def _member(kind: type[JobState] | type[FailureKind], value: str) -> JobState | FailureKind:
    if value not in list(kind):  # FailureKind takes any value, for the kinds of newer versions
        raise InvalidSearch(f"{value!r} is none of {', '.join(kind)}")
    return kind(value)


def _pairs(text: str) -> dict[str, str]:
    for pair in text.split():
        if pair.find("=") < 1:
            raise InvalidSearch(f"{pair!r} is not KEY=VALUE")
    return dict(pair.split("=", 1) for pair in text.split())


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise InvalidSearch(f"{text!r} is not a time, such as 2026-11-29T06:00") from None
