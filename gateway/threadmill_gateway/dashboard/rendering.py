"""Templates and how they show values. All text of users and servers is escaped."""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from threadmill.answers import answer_html
from threadmill.job.result import Artifact
from threadmill.names import printable
from threadmill_gateway.dashboard.language import catalogue

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86400

_LINK = re.compile(r"https?://", re.IGNORECASE)
_PICTURE_TYPES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})

#: Blocks of a template whose name begins so are sent again while the page is open.
_LIVE = "live_"


@cache
def environment(language: str) -> Environment:
    """Returns the templates in one language."""
    made = Environment(
        loader=PackageLoader("threadmill_gateway.dashboard"),
        autoescape=True,
        extensions=["jinja2.ext.i18n", "jinja2.ext.do"],
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    texts = catalogue(language)
    made.install_gettext_callables(texts.gettext, texts.ngettext, newstyle=True)  # type: ignore[attr-defined]
    made.filters |= {"number": number, "duration": duration, "iso": iso, "clock": clock, "answer": answer}
    made.filters["translated"] = texts.gettext  # texts of the gateway, which templates do not have
    made.tests |= {"link": is_link, "picture": is_picture}
    made.globals |= {"now": lambda: datetime.now().astimezone()}
    return made


def render(language: str, template: str, variables: Mapping[str, Any]) -> str:
    """Returns a page."""
    return _template(language, template).render(_with_macros(language, variables))


def live_blocks(language: str, template: str, variables: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields the id and the HTML of each part of a page that may change while it is open."""
    found = _template(language, template)
    all_variables = _with_macros(language, variables)
    for name, block in found.blocks.items():
        if name.startswith(_LIVE):
            yield name.removeprefix(_LIVE), "".join(block(found.new_context(all_variables)))


def is_live(template: str) -> bool:
    return any(name.startswith(_LIVE) for name in _template("en", template).blocks)


def _template(language: str, name: str) -> Template:
    return environment(language).get_template(name)


def _with_macros(language: str, variables: Mapping[str, Any]) -> dict[str, Any]:
    macros = _template(language, "ui.html").make_module(dict(variables))
    return {**variables, "ui": macros}


def _shown(value: Any) -> Any:
    """Removes control characters from text, and shows nothing in place of None."""
    if value is None:
        return ""
    return printable(value) if type(value) is str else value


def number(value: float | None) -> str:
    """Returns a number with separators of thousands."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if isinstance(value, int) or abs(value) >= 100 else f"{value:,.3g}"


def duration(seconds: float | timedelta | None) -> str:
    """Returns a duration in its two largest units: 1 h 05 min."""
    if seconds is None:
        return "–"
    value = seconds.total_seconds() if isinstance(seconds, timedelta) else seconds
    if value < 10:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < _MINUTE_S:
        return f"{whole} s"
    if whole < _HOUR_S:
        return f"{whole // _MINUTE_S} min {whole % _MINUTE_S:02} s"
    if whole < _DAY_S:
        return f"{whole // _HOUR_S} h {whole % _HOUR_S // _MINUTE_S:02} min"
    return f"{whole // _DAY_S} d {whole % _DAY_S // _HOUR_S} h"


def is_link(url: str | None) -> bool:
    """Whether a page may link to a URL; `javascript:`, for example, is none."""
    return bool(url and _LINK.match(url))


def is_picture(artifact: Artifact) -> bool:
    """Whether a page shows the file itself: browsers run no script in it."""
    return artifact.uri is not None and artifact.media_type in _PICTURE_TYPES


def iso(at: datetime) -> str:
    return at.isoformat(timespec="seconds")


def clock(at: datetime) -> str:
    """Returns a time in the time zone of the gateway: the date, unless it is today, and the time of day."""
    local, today = at.astimezone(), datetime.now().astimezone().date()
    return local.strftime("%H:%M:%S" if local.date() == today else "%Y-%m-%d %H:%M")


def answer(text: str, under: int = 2) -> Markup:
    """Returns the Markdown of an answer as safe HTML, for a section whose heading has level `under`."""
    return Markup(answer_html(text, under))  # answer_html lets no HTML of the text through
