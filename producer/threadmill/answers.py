"""Renders the Markdown of an answer safely inside a page, as HTML or as Markdown. PURE.

An answer is unchecked text of a model. It cannot add raw HTML, load a picture or change what follows it, and its
headings are below those of the page.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

#: Targets that stay links. Any other target is shown as text.
_ALLOWED_TARGET = re.compile(r"(https?|mailto):", re.IGNORECASE)
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)  # the only way to break a line in a table
_LOWEST_HEADING = 6
_LONGEST_TARGET = 200  #: characters of a target that are shown; a data: URL has thousands
_SCROLLING_TABLE = '<div class="scrolls" role="region" aria-label="Table" tabindex="0"><table>\n'


def _reader(*, raw_html: bool, tables_scroll: bool = True) -> MarkdownIt:
    reader = MarkdownIt("commonmark", {"html": raw_html}).enable(["table", "strikethrough"])
    reader.validateLink = lambda url: True  # type: ignore[method-assign]  # _with_safe_links decides, and drops no text
    if tables_scroll:
        reader.add_render_rule("table_open", lambda *_: _SCROLLING_TABLE)
        reader.add_render_rule("table_close", lambda *_: "</table></div>\n")
    return reader


_PAGE = _reader(raw_html=False)
_MAIL = _reader(raw_html=False, tables_scroll=False)
_VIEWER = _reader(raw_html=True)  #: recognises what a program that shows our Markdown may treat as HTML


def answer_html(
    text: str, under: int, styles: Mapping[str, str] | None = None, names: Mapping[str, str] | None = None
) -> str:
    """Returns an answer as HTML, for a section whose heading has level `under`.

    `styles`: the inline style of each tag, for pages without a style sheet. `names`: the anchors of names in the text,
    which become links.
    """
    reader = _PAGE if styles is None else _MAIL
    tokens = _safe_tokens(reader, text)
    shift = _shift(tokens, under)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(_LOWEST_HEADING, int(token.tag[1]) + shift)}"
        elif token.type == "inline":
            token.children = list(_with_anchors(token.children or [], names or {}))
        for each in (token, *(token.children or [])) if styles else ():
            if each.nesting >= 0 and (style := (styles or {}).get(each.tag)):
                each.attrs["style"] = ";".join(filter(None, (style, str(each.attrs.get("style", "")))))
    return str(reader.renderer.render(tokens, reader.options, {}))


def answer_tokens(text: str) -> list[Token]:
    """Returns the Markdown tokens of an answer: no raw HTML, no pictures, and links only to http, https and mailto."""
    return _safe_tokens(_MAIL, text)


def _safe_tokens(reader: MarkdownIt, text: str) -> list[Token]:
    tokens = reader.parse(text)
    for token in tokens:
        if token.type == "inline":
            token.children = list(_with_safe_links(_with_line_breaks(token.children or [])))
    return tokens


def answer_markdown(text: str, under: int) -> str:
    """Returns an answer as Markdown. Pictures become links.

    Definitions of links and footnotes become text, because they would apply to all sections of the page.
    """
    lines = text.replace("\0", "").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    lines = _without_definitions(lines)
    while suspects := _suspect_lines(lines):
        for number in suspects:
            lines[number] = lines[number].replace("![", "[").replace("<", "&lt;")
    tokens = _VIEWER.parse("\n".join(lines))
    return _with_fence_closed("\n".join(_with_lower_headings(lines, tokens, _shift(tokens, under))).strip("\n"))


def _shift(tokens: Sequence[Token], under: int) -> int:
    """Returns by how many levels to lower the headings, so that the highest is just below the section's."""
    levels = [int(token.tag[1]) for token in tokens if token.type == "heading_open"]
    return under + 1 - min(levels, default=1)


def _with_line_breaks(tokens: Sequence[Token]) -> Iterator[Token]:
    for token in tokens:
        if token.type != "text":
            yield token
            continue
        for number, part in enumerate(_BREAK.split(token.content)):
            if number:
                yield Token("hardbreak", "br", 0)
            yield Token("text", "", 0, content=part)


def _with_safe_links(tokens: Iterable[Token]) -> Iterator[Token]:
    """Keeps links with an allowed target, turns pictures into links, and shows other targets as text."""
    hidden: list[str | None] = []  # of each open link: the target to show at its end; None: it stays a link
    for token in tokens:
        if token.type == "link_open":
            target = str(token.attrs["href"])
            is_allowed = _ALLOWED_TARGET.match(target) is not None
            hidden.append(None if is_allowed else target)
            if is_allowed:
                yield _link(target)
        elif token.type == "link_close":
            hidden_target = hidden.pop()
            if hidden_target is None:
                yield token
            elif not hidden_target.startswith("#"):  # an answer has no anchors
                yield from _target_as_text(hidden_target)
        elif token.type == "image":
            yield from _picture(token, inside_link=bool(hidden))
        else:
            yield token


def _with_anchors(tokens: Iterable[Token], names: Mapping[str, str]) -> Iterator[Token]:
    """Turns names outside of links into links."""
    longest_first = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    pattern = re.compile(rf"(?<![A-Za-z0-9_./-])({longest_first})(?![A-Za-z0-9_-]|\.[A-Za-z0-9])") if names else None
    is_open = False
    for token in tokens:
        if token.type in ("link_open", "link_close"):
            is_open = token.type == "link_open"
        if pattern is None or is_open or token.type not in ("text", "code_inline"):
            yield token
            continue
        for index, part in enumerate(pattern.split(token.content)):
            piece = Token(token.type, token.tag, 0, content=part)
            if index % 2:
                anchor = Token("link_open", "a", 1, attrs={"href": names[part]})
                yield from (anchor, piece, Token("link_close", "a", -1))
            elif part:
                yield piece


def _picture(token: Token, inside_link: bool) -> Iterator[Token]:
    target = str(token.attrs["src"])
    caption = Token("text", "", 0, content=token.content or "picture")
    if inside_link or not _ALLOWED_TARGET.match(target):
        yield caption
        yield from _target_as_text(target)
    else:
        yield from (_link(target), caption, Token("link_close", "a", -1))


def _link(target: str) -> Token:
    return Token("link_open", "a", 1, attrs={"href": target, "rel": "noopener noreferrer"})


def _target_as_text(target: str) -> Iterator[Token]:
    shown = target if len(target) <= _LONGEST_TARGET else f"{target[:60]}…"
    yield Token("text", "", 0, content=" (")
    yield Token("code_inline", "code", 0, content=shown)
    yield Token("text", "", 0, content=")")


def _without_definitions(lines: list[str]) -> list[str]:
    """Escapes definitions such as `[1]: https://…`, so that they are shown as text."""
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
    """Returns the lines of blocks with raw HTML or pictures that still have something to escape."""
    suspects: set[int] = set()
    for token in _VIEWER.parse("\n".join(lines)):
        if token.map and any(map(_is_unsafe, (token, *(token.children or [])))):
            suspects.update(range(*token.map))
    return {number for number in suspects if "<" in lines[number] or "![" in lines[number]}


def _is_unsafe(token: Token) -> bool:
    is_html = token.type in ("html_block", "html_inline") and not _BREAK.fullmatch(token.content)
    return is_html or token.type == "image"


def _with_lower_headings(lines: list[str], tokens: Sequence[Token], shift: int) -> Iterator[str]:
    """Yields the lines, with each heading in one line and at its new level."""
    instead: dict[int, str | None] = {}
    for token, inline in pairwise(tokens):
        if token.type == "heading_open" and token.map:
            words = inline.content.split("\n")
            first, *rest = range(*token.map)
            mark = "#" if token.markup.startswith("#") else words[0]
            before = lines[first][: lines[first].find(mark)]
            instead |= dict.fromkeys(rest)
            instead[first] = f"{before}{'#' * min(_LOWEST_HEADING, int(token.tag[1]) + shift)} {' '.join(words)}"
    for number, line in enumerate(lines):
        shown = instead.get(number, line)
        if shown is not None:
            yield shown


def _with_fence_closed(text: str) -> str:
    """Ends a code fence that the text left open, which would include the next heading of the page."""
    last = _VIEWER.parse(f"{text}\n\n#")[-1]
    return f"{text}\n{last.markup}" if last.type == "fence" else text
