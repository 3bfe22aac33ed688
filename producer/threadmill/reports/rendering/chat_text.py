"""Converts Markdown to Slack's mrkdwn, or to the Markdown subset of an Adaptive Card in Teams. PURE.

Neither has headings or tables: a heading becomes a bold line, and each row of a table becomes a list item.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from markdown_it.tree import SyntaxTreeNode

from threadmill.answers import answer_tokens
from threadmill.reports.content.grouping import shorten

#: What starts or ends emphasis or a link in Markdown. An underscore inside a word does not.
_TEAMS_SYNTAX = re.compile(r"[\\*\[\]]|(?<!\w)_|_(?!\w)")
_CUT_NOTE = "[...]"


@dataclass(frozen=True)
class Dialect:
    """The syntax of a chat. A mark is '' if the chat has none."""

    bold: str
    italic: str
    strike: str
    bullet: str
    nested: str  #: indentation of a nested list
    quote: str  #: prefix of a quoted line
    line_break: str  #: between list items
    escape: Callable[[str], str]
    code: Callable[[str], str]
    code_block: Callable[[str], str]
    link: Callable[[str, str], str]  #: from the target and the rendered label


def chat_text(markdown: str, dialect: Dialect, longest: int) -> str:
    """Returns text of at most `longest` characters, cut after a block, so that all markup is closed."""
    blocks = list(_blocks(SyntaxTreeNode(answer_tokens(markdown)).children, dialect))
    text = "\n\n".join(blocks)
    return text if len(text) <= longest else _fitted(blocks, longest)


def _fitted(blocks: Sequence[str], longest: int) -> str:
    kept, size = [], len(_CUT_NOTE)
    for block in blocks:
        size += len(block) + 2
        if size > longest:
            break
        kept.append(block)
    return "\n\n".join([*kept, _CUT_NOTE]) if kept else _first_lines(blocks[0], longest)


def _first_lines(block: str, longest: int) -> str:
    """Returns the first lines of a block that is too long. A code block stays closed, a long single line is cut."""
    fence = "```" if block.startswith("```") else ""
    end = f"\n{_CUT_NOTE}" + (f"\n{fence}" if fence else "")
    whole = re.split(r"[\r\n]", block[: longest - len(end)])[:-1]
    lines = "\n".join(whole)
    return lines + end if lines.strip("`\n") else shorten(block, longest)


def _blocks(nodes: Sequence[SyntaxTreeNode], dialect: Dialect) -> Iterator[str]:
    for node in nodes:
        match node.type:
            case "heading":
                yield _marked(_inline(node, dialect, is_bold=True), dialect.bold)
            case "paragraph":
                yield _inline(node, dialect)
            case "fence" | "code_block":
                yield dialect.code_block(node.content)
            case "bullet_list" | "ordered_list":
                yield dialect.line_break.join(_items(node, dialect))
            case "blockquote":
                text = "\n\n".join(_blocks(node.children, dialect))
                yield "\n".join(dialect.quote + line for line in text.splitlines())
            case "table":
                yield dialect.line_break.join(_rows(node, dialect))


def _items(node: SyntaxTreeNode, dialect: Dialect) -> Iterator[str]:
    first = int(node.attrs.get("start", 1))
    for number, item in enumerate(node.children, first):
        mark = f"{number}." if node.type == "ordered_list" else dialect.bullet
        text, *more = list(_blocks(item.children, dialect)) or [""]
        yield f"{mark} {text}"
        for block in more:
            yield from (dialect.nested + line for line in re.split(r"[\r\n]+", block))


def _rows(table: SyntaxTreeNode, dialect: Dialect) -> Iterator[str]:
    """`• *Early* · Units: 4,120 · Scrap: 1.2 %`"""
    head, *bodies = table.children
    names = [_inline(cell, dialect) for cell in head.children[0].children]
    for row in (row for body in bodies for row in body.children):
        first, *cells = (_inline(cell, dialect) for cell in row.children)
        first = _marked(_inline(row.children[0], dialect, is_bold=True), dialect.bold)
        named = [f"{name}: {cell}" if name else cell for name, cell in zip(names[1:], cells, strict=False) if cell]
        yield f"{dialect.bullet} {' · '.join(filter(None, [first, *named]))}"


def _inline(node: SyntaxTreeNode, dialect: Dialect, *, is_bold: bool = False) -> str:
    """Renders the children of a node. `is_bold`: inside bold text, which another mark would end."""
    return "".join(_span(child, dialect, is_bold) for child in node.children)


def _span(node: SyntaxTreeNode, dialect: Dialect, is_bold: bool) -> str:
    match node.type:
        case "text":
            return dialect.escape(node.content)
        case "code_inline":
            return dialect.code(node.content)
        case "softbreak" | "hardbreak":
            return " " if is_bold else "\n"
        case "strong":
            text = _inline(node, dialect, is_bold=True)
            return text if is_bold else _marked(text, dialect.bold)
        case "em":
            return _marked(_inline(node, dialect, is_bold=is_bold), dialect.italic)
        case "s":
            return _marked(_inline(node, dialect, is_bold=is_bold), dialect.strike)
        case "link":
            return dialect.link(str(node.attrs["href"]), _inline(node, dialect, is_bold=is_bold))
    return _inline(node, dialect, is_bold=is_bold)


def _marked(text: str, mark: str) -> str:
    return f"{mark}{text.strip()}{mark}" if text.strip() else text


def _slack_escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _slack_link(target: str, label: str) -> str:
    return f"<{_slack_escape(target.replace('|', '%7C').replace('>', '%3E').replace('<', '%3C'))}|{label or target}>"


def _teams_escape(text: str) -> str:
    return _TEAMS_SYNTAX.sub(r"\\\g<0>", text)


def _teams_link(target: str, label: str) -> str:
    return f"[{label or _teams_escape(target)}]({target.replace('(', '%28').replace(')', '%29').replace(' ', '%20')})"


SLACK = Dialect(
    bold="*",
    italic="_",
    strike="~",
    bullet="•",
    nested="    ",
    quote="> ",
    line_break="\n",
    escape=_slack_escape,
    code=lambda text: "`{}`".format(_slack_escape(text).replace("`", "'")),
    code_block=lambda text: "```\n{}\n```".format(_slack_escape(text).replace("```", "'''").rstrip("\n")),
    link=_slack_link,
)

#: A TextBlock supports only bold, italic, flat lists and links.
TEAMS = Dialect(
    bold="**",
    italic="_",
    strike="",
    bullet="-",
    nested="",
    quote="",
    line_break="\r",
    escape=_teams_escape,
    code=_teams_escape,
    code_block=lambda text: _teams_escape(text.rstrip("\n")),
    link=_teams_link,
)
