"""PURE: what a model wrote, as Markdown that nobody has checked, made fit to stand inside our pages.

In neither form can an answer bring raw HTML, fetch a picture or disturb what comes after it.
Its headings go below ours.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

#: Where a link may lead. The target of any other is shown as text.
_LEADS_ON = re.compile(r"(https?|mailto):", re.IGNORECASE)
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)  # the one tag that tables cannot do without
_LOWEST = 6
_LONGEST_TARGET = 200  #: characters shown of one; a picture as a data: URL has thousands
_SCROLLS = '<div class="scrolls" role="region" aria-label="Table" tabindex="0"><table>\n'


def _reader(*, raw_html: bool, scrolls: bool = True) -> MarkdownIt:
    reader = MarkdownIt("commonmark", {"html": raw_html}).enable(["table", "strikethrough"])
    reader.validateLink = lambda url: True  # type: ignore[method-assign]  # _linked judges, so that none vanishes
    if scrolls:
        reader.add_render_rule("table_open", lambda *_: _SCROLLS)
        reader.add_render_rule("table_close", lambda *_: "</table></div>\n")
    return reader


_PAGE = _reader(raw_html=False)
_MAIL = _reader(raw_html=False, scrolls=False)
_VIEWER = _reader(raw_html=True)  #: sees what whoever shows our Markdown may take for HTML


def answer_html(
    text: str, under: int, styles: Mapping[str, str] | None = None, names: Mapping[str, str] | None = None
) -> str:
    """HTML of an answer whose section's heading is of level `under`.

    `styles`: the inline style of each tag, for where there is no style sheet. `names`: become links to their anchors.
    """
    reader = _PAGE if styles is None else _MAIL
    tokens = _safe_tokens(reader, text)
    shift = _shift(tokens, under)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(_LOWEST, int(token.tag[1]) + shift)}"
        elif token.type == "inline":
            token.children = list(_named(token.children or [], names or {}))
        for each in (token, *(token.children or [])) if styles else ():
            if each.nesting >= 0 and (style := (styles or {}).get(each.tag)):
                each.attrs["style"] = ";".join(filter(None, (style, str(each.attrs.get("style", "")))))
    return str(reader.renderer.render(tokens, reader.options, {}))


def answer_tokens(text: str) -> list[Token]:
    """The Markdown tokens of an answer: no raw HTML, no pictures, and links only to http, https and mailto."""
    return _safe_tokens(_MAIL, text)


def _safe_tokens(reader: MarkdownIt, text: str) -> list[Token]:
    tokens = reader.parse(text)
    for token in tokens:
        if token.type == "inline":
            token.children = list(_linked(_broken(token.children or [])))
    return tokens


def answer_markdown(text: str, under: int) -> str:
    """The same as Markdown. Pictures become links, and footnote definitions text: they would hold for all sections."""
    lines = text.replace("\0", "").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    lines = _without_definitions(lines)
    while suspects := _suspect_lines(lines):
        for number in suspects:
            lines[number] = lines[number].replace("![", "[").replace("<", "&lt;")
    tokens = _VIEWER.parse("\n".join(lines))
    return _closed("\n".join(_demoted(lines, tokens, _shift(tokens, under))).strip("\n"))


def _shift(tokens: Sequence[Token], under: int) -> int:
    """What brings the highest heading right below ours."""
    levels = [int(token.tag[1]) for token in tokens if token.type == "heading_open"]
    return under + 1 - min(levels, default=1)


def _broken(tokens: Sequence[Token]) -> Iterator[Token]:
    for token in tokens:
        if token.type != "text":
            yield token
            continue
        for number, part in enumerate(_BREAK.split(token.content)):
            if number:
                yield Token("hardbreak", "br", 0)
            yield Token("text", "", 0, content=part)


def _linked(tokens: Iterable[Token]) -> Iterator[Token]:
    """Links that lead on stay links, pictures become some, the targets of others are told."""
    untold: list[str | None] = []  # of the links that are open: what is told at their end
    for token in tokens:
        if token.type == "link_open":
            target = str(token.attrs["href"])
            leads_on = _LEADS_ON.match(target) is not None
            untold.append(None if leads_on else target)
            if leads_on:
                yield _link(target)
        elif token.type == "link_close":
            target_told = untold.pop()
            if target_told is None:
                yield token
            elif not target_told.startswith("#"):  # an answer has no anchors
                yield from _told(target_told)
        elif token.type == "image":
            yield from _picture(token, inside_link=bool(untold))
        else:
            yield token


def _named(tokens: Iterable[Token], names: Mapping[str, str]) -> Iterator[Token]:
    """Names outside of links become links."""
    longest_first = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    pattern = re.compile(rf"(?<![A-Za-z0-9_./-])({longest_first})(?![A-Za-z0-9_-]|\.[A-Za-z0-9])") if names else None
    is_open = False
    for token in tokens:
        if token.type in ("link_open", "link_close"):
            is_open = token.type == "link_open"
        if pattern is None or is_open or token.type not in ("text", "code_inline"):
            yield token
            continue
        for place, part in enumerate(pattern.split(token.content)):
            piece = Token(token.type, token.tag, 0, content=part)
            if place % 2:
                anchor = Token("link_open", "a", 1, attrs={"href": names[part]})
                yield from (anchor, piece, Token("link_close", "a", -1))
            elif part:
                yield piece


def _picture(token: Token, inside_link: bool) -> Iterator[Token]:
    target = str(token.attrs["src"])
    caption = Token("text", "", 0, content=token.content or "picture")
    if inside_link or not _LEADS_ON.match(target):
        yield caption
        yield from _told(target)
    else:
        yield from (_link(target), caption, Token("link_close", "a", -1))


def _link(target: str) -> Token:
    return Token("link_open", "a", 1, attrs={"href": target, "rel": "noopener noreferrer"})


def _told(target: str) -> Iterator[Token]:
    shown = target if len(target) <= _LONGEST_TARGET else f"{target[:60]}…"
    yield Token("text", "", 0, content=" (")
    yield Token("code_inline", "code", 0, content=shown)
    yield Token("text", "", 0, content=")")


def _without_definitions(lines: list[str]) -> list[str]:
    """`[1]: https://…` shown as it stands."""
    while True:
        env: dict[str, Any] = {}
        _VIEWER.parse("\n".join(lines), env)
        found = [*env.get("references", {}).values(), *env.get("duplicate_refs", [])]
        if not found:
            return lines
        for definition in found:
            number = definition["map"][0]
            lines[number] = lines[number].replace("[", r"\[", 1)


def _suspect_lines(lines: list[str]) -> set[int]:
    """Those of blocks with raw HTML or pictures, as long as there is something in them to disarm."""
    suspects: set[int] = set()
    for token in _VIEWER.parse("\n".join(lines)):
        if token.map and any(map(_is_armed, (token, *(token.children or [])))):
            suspects.update(range(*token.map))
    return {number for number in suspects if "<" in lines[number] or "![" in lines[number]}


def _is_armed(token: Token) -> bool:
    is_html = token.type in ("html_block", "html_inline") and not _BREAK.fullmatch(token.content)
    return is_html or token.type == "image"


def _demoted(lines: list[str], tokens: Sequence[Token], shift: int) -> Iterator[str]:
    """The lines, each heading in one of them and of its new level."""
    instead: dict[int, str | None] = {}
    for token, inline in pairwise(tokens):
        if token.type == "heading_open" and token.map:
            words = inline.content.split("\n")
            first, *rest = range(*token.map)
            mark = "#" if token.markup.startswith("#") else words[0]
            before = lines[first][: lines[first].find(mark)]
            instead |= dict.fromkeys(rest)
            instead[first] = f"{before}{'#' * min(_LOWEST, int(token.tag[1]) + shift)} {' '.join(words)}"
    for number, line in enumerate(lines):
        shown = instead.get(number, line)
        if shown is not None:
            yield shown


def _closed(text: str) -> str:
    """The text, and the end of a fence that it left open: one that would take in our next heading."""
    last = _VIEWER.parse(f"{text}\n\n#")[-1]
    return f"{text}\n{last.markup}" if last.type == "fence" else text
