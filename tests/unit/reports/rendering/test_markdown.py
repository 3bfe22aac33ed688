"""A report as Markdown, parsed with raw HTML as viewers do."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from tests.reports import HOSTILE, SHAPES, everything, failed, report, section

from threadmill.answers import answer_markdown
from threadmill.reports.rendering.markdown import render_markdown

VIEWER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


def html_in(markdown):
    tokens = [child for token in VIEWER.parse(markdown) for child in (token, *(token.children or []))]
    return {token.content for token in tokens if token.type in ("html_inline", "html_block")}


def pictures_in(markdown):
    return [child for token in VIEWER.parse(markdown) for child in token.children or [] if child.type == "image"]


def headings(markdown):
    tokens = VIEWER.parse(markdown)
    return [(token.tag, inline.content) for token, inline in pairwise(tokens) if token.type == "heading_open"]


def test_a_hostile_answer_adds_no_markup_to_the_report():
    shown = answer_markdown(HOSTILE, under=3)
    assert html_in(shown) <= {"<br>"}
    assert pictures_in(shown) == []
    env = {}
    VIEWER.parse(shown, env)
    assert env.get("references", {}) == {}
    assert headings(shown + "\n\n## Next")[-1] == ("h2", "Next")


PIECES = [
    *(
        "\n",
        "\n\n",
        " ",
        "    ",
        "\t",
        "a",
        "> ",
        "- ",
        "1. ",
        "# ",
        "=",
        "---",
        "|",
        "-|-",
        "`",
        "```",
        "~~~",
        "\\",
        "&lt;",
    ),
    *(
        "<b>",
        "<!--",
        "-->",
        "<br>",
        "<script>",
        "<a href=x",
        ">",
        "<https://a.example>",
        "![",
        "[",
        "]",
        "](x)",
        "]: x",
        "]:",
        "<?",
    ),
]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=25).map("".join))
def test_any_answer_stays_within_its_section(answer):
    shown = answer_markdown(answer, under=3)
    page = f"{shown}\n\n## Next"
    assert {each for each in html_in(page) if not each.startswith("<br")} == set()
    assert pictures_in(page) == []
    assert headings(page)[-1] == ("h2", "Next")
    assert all(tag >= "h4" for tag, _ in headings(page)[:-1])


@pytest.mark.parametrize("shape", SHAPES)
def test_a_page_has_only_its_own_headings_and_html(shape):
    made = SHAPES[shape]
    page = render_markdown(made)
    assert {each for each in html_in(page) if not each.startswith(("<a id=", "</a>", "<br>"))} == set()
    numbered = [text for tag, text in headings(page) if tag == "h3" and text[0].isdigit()]
    assert len(numbered) == len(made.sections)
    assert [tag for tag, _ in headings(page)].count("h1") == 1


@pytest.mark.parametrize(
    ("answer", "becomes"),
    [
        ("# A\n\ntext\n\n## B", "#### A\n\ntext\n\n##### B"),
        ("A\n===\n\nB\nC\n---", "#### A\n\n##### B C"),
        ("> ## quoted", "> #### quoted"),
        ("- # item", "- #### item"),
        ("```\n# code\n```", "```\n# code\n```"),
        ("````\n```", "````\n```\n````"),
        ("```", "```\n```"),
        ("```\n\n", "```\n```"),
        ("~~~\nx", "~~~\nx\n~~~"),
        ("`<b>` and a < b", "`<b>` and a < b"),
        ("<https://example.com>", "<https://example.com>"),
        ("![<br>](x)", "[&lt;br>](x)"),
        ("", ""),
    ],
)
def test_headings_of_an_answer_are_moved_below_its_section(answer, becomes):
    assert answer_markdown(answer, under=3) == becomes


def test_a_name_cannot_add_markup():
    page = render_markdown(everything())
    assert "### 3. ``<b>*x*_[y](http://evil.example)|`q` # h \ufffdgpj.md``\n" in page
    assert r"# Lines \& \<plants\>" in page


def test_failures_are_listed_with_their_reasons():
    page = render_markdown(report(section(1), failed(2, name="a|b.md")))
    assert "1 document failed:\n\n- **1:** is empty\n  - [2. `documents/line-2.md`](#document-2)\n" in page
    assert r"| [2. `a\|b.md`](#document-2) | 0 | 0.0 s | failed |" in page


def test_sections_are_separated():
    page = render_markdown(everything())
    assert '\n\n<a id="document-3"></a>\n\n' in page
    assert "no price is known" not in page
    assert "\n\n\n\n" not in page
