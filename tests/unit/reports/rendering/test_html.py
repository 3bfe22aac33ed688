"""A report as a self-contained HTML page."""

import re
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from importlib.resources import files

import pytest
from tests.reports import HOSTILE, SHAPES, everything, failed, report, section

from threadmill.answers import answer_html
from threadmill.documents.template import BadTemplate
from threadmill.job.result import Failure, FailureKind
from threadmill.reports.rendering.failures import for_readers, reasons
from threadmill.reports.rendering.html import render_html
from threadmill.reports.rendering.mail import render_failure, render_mail
from threadmill.reports.report_run import ReportRun

VOID = {"meta", "br", "hr", "rect", "img", "link", "input"}
#: All that a page may be made of; what brings script, pictures, frames or forms is not among it.
ELEMENTS = set(
    re.findall(
        r"\w+",
        "html head meta title style body header nav main section article footer h1 h2 h3 h4 h5 h6 p div span br hr a b "
        "em strong small s q time code pre blockquote dl dt dd ol ul li details summary figure figcaption table thead "
        "tbody tr th td svg desc text rect",
    )
)


class Page(HTMLParser):
    """Returns the elements of a page. Fails if one is not closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self._open.pop() == tag

    def values(self, attribute):
        return [attributes[attribute] for _, attributes in self.elements if attribute in attributes]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_page_is_valid_and_self_contained(shape):
    page = Page(render_html(SHAPES[shape]))
    assert {tag for tag, _ in page.elements} <= ELEMENTS
    names = {name for _, attributes in page.elements for name in attributes}
    assert not {name for name in names if name.startswith("on") or name in ("src", "srcset", "action")}
    assert set(page.values("style")) <= {"text-align:right"}  # of a table's column
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    for target in page.values("href"):
        assert target.startswith(("http://", "https://", "mailto:")) or target.removeprefix("#") in ids
    for label in page.values("aria-labelledby"):
        assert set(label.split()) <= set(ids)
    [policy] = [each["content"] for tag, each in page.elements if each.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline';")
    assert not re.search(r"url\(|@import", render_html(SHAPES[shape]))


def test_external_links_send_no_referrer():
    page = Page(render_html(everything()))
    leaving = [each for tag, each in page.elements if tag == "a" and not each["href"].startswith("#")]
    assert leaving
    assert {each["rel"] for each in leaving} == {"noopener noreferrer"}


def test_a_hostile_answer_is_text():
    html = answer_html(HOSTILE, under=3)
    page = Page(html)
    assert {tag for tag, _ in page.elements} <= ELEMENTS
    assert page.values("href") == ["https://evil.example/pixel.png?q=secret"]  # a link, which nothing fetches
    for shown in ("&lt;script&gt;", "click (<code>javascript:alert(1)</code>)", "up", "never closed"):
        assert shown in html


def test_headings_of_an_answer_are_below_that_of_its_section():
    html = answer_html("## A\n\n### B\n\n###### C\n\nD\n---", under=3)
    assert re.findall(r"<(h\d)>(\w)", html) == [("h4", "A"), ("h5", "B"), ("h6", "C"), ("h4", "D")]


def test_line_breaks_in_cells_are_kept():
    assert "b<br />" in answer_html("a | b<br>c\n--|--\n1 | 2", under=3)


def test_names_are_shown_without_hidden_characters():
    html = render_html(everything())
    assert "&lt;b&gt;*x*_[y](http://evil.example)|`q` # h \ufffdgpj.md" in html
    assert "\u202e" not in html
    assert "<title>Lines &amp; &lt;plants&gt;, 2026-01-15</title>" in html
    assert "documents/half\ufffd.md" in render_html(report(section(1, path="documents/half\udc80.md")))
    assert render_html(report(section(1, text="half \ud800"))).encode()


def test_failures_are_listed_before_the_documents():
    html = render_html(report(section(1), failed(2), failed(3)))
    assert "Not in this report: 2 documents failed" in html
    assert "<summary><b>2</b> is empty</summary>" in html, "grouped by reason, folded"
    assert html.index("is empty") < html.index('id="documents"')
    assert "Not in this report" not in render_html(report(section(1)))


def test_names_in_the_summary_link_to_their_sections():
    summary = "See line-1.md, `line-10.md` and [line-1.md](https://a.example), not online-1.md or line-1.mdx."
    html = render_html(report(section(1), section(10), summary=summary))
    assert 'See <a href="#document-1">line-1.md</a>, <a href="#document-2"><code>line-10.md</code></a> and' in html
    assert "line-1.md</a>, not online-1.md or line-1.mdx." in html


def test_charts_come_after_the_documents():
    html = render_html(everything())
    assert html.index('id="documents"') < html.index('id="figures"')


def test_many_documents_are_folded():
    folded = '<details class="document" id="document-1">'
    assert folded in render_html(SHAPES["200 documents"])
    assert folded not in render_html(everything())


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("is empty", "is empty"),
        ("has 9 characters, the limit is 5 (--max-chars); or add --split", "has 9 characters, the limit is 5"),
        ("has 9 pages without text; have the server read it: --attach file_search", "has 9 pages without text"),
        ("--split", "--split"),
    ],
)
def test_readers_get_no_advice_about_options(message, shown):
    assert for_readers(message) == shown


def test_reasons_that_differ_only_in_numbers_are_grouped():
    long = [failed(n, failure=Failure(kind=FailureKind.REJECTED, message=f"has {n},000 characters")) for n in (1, 2)]
    found = reasons(report(*long, failed(3), failed(4), failed(5)))
    assert [(each.message, len(each.documents)) for each in found] == [("is empty", 3), ("has … characters", 2)]


LINK = "https://reports.example/daily.html"
FAILED = ReportRun(
    report="daily", night=date(2026, 1, 15), begun_at=datetime(2026, 1, 16, 6, tzinfo=UTC), error=HOSTILE
)


@pytest.mark.parametrize(
    "mail",
    [*(render_mail(each, LINK) for each in SHAPES.values()), render_failure("x", FAILED)],
    ids=[*SHAPES, "failed night"],
)
def test_a_mail_uses_what_mail_clients_support(mail):
    page = Page(mail)
    allowed = "html head meta title body table tr td th thead tbody h1 h2 h3 h4 h5 h6 p a b strong em s ul ol li br"
    assert {tag for tag, _ in page.elements} <= {*allowed.split(), "code", "pre", "blockquote", "hr"}
    assert not re.search(r"var\(|display:|grid|flex|url\(|class=", " ".join(page.values("style")))
    assert page.values("class") == []


def test_a_mail_links_to_the_page():
    assert LINK in Page(render_mail(everything(), LINK)).values("href")


def test_a_mail_is_never_clipped():
    for summary in ("- a\n" * 40_000, "<&" * 100_000, "word " * 40_000):
        mail = render_mail(report(*(failed(n, name="n" * 255) for n in range(300)), summary=summary), "/srv/a.html")
        assert len(mail.encode()) < 100_000
        assert "The summary goes on in the full report." in mail


def test_the_cost_is_shown_or_unknown():
    assert "no price is known" in render_html(report(section(1)))
    assert "<dd>0.0312 USD</dd>" in render_html(report(section(1), cost=0.0312))
    assert "<dd>0.00 USD</dd>" in render_html(report(section(1), cost=0.0))


def test_a_template_can_extend_or_replace_the_default():
    source = '{% extends "report.html" %}{% block footer %}<footer>{{ report.name }} of ACME</footer>{% endblock %}'
    assert "<footer>daily of ACME</footer>" in render_html(everything(), source)
    assert render_html(report(title="<x>"), "{{ report.title }}") == "&lt;x&gt;"
    with pytest.raises(BadTemplate, match=r"'nights' is undefined. It can use report, documents, cost"):
        render_html(report(), "{{ nights }}")


def _schemes() -> dict[str, dict[str, str]]:
    css = files("threadmill.reports.rendering").joinpath("templates/report.css").read_text()
    light, dark = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    return {name: dict(re.findall(r"--(\w+): (#\w{6})", text)) for name, text in (("light", light), ("dark", dark))}


def _luminance(colour: str) -> float:
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels]
    return sum(weight * each for weight, each in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def _contrast(one: str, other: str) -> float:
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_have_enough_contrast(scheme):
    """WCAG AA: 4.5 for text, 3 for what a chart draws."""
    palette = _schemes()[scheme]
    for ink in ("text", "muted", "accent", "bad", "good"):
        for ground in ("paper", "soft"):
            assert _contrast(palette[ink], palette[ground]) >= 4.5, (ink, ground)
    for bar in ("bar", "bad", "good"):
        assert _contrast(palette[bar], palette["paper"]) >= 3, bar
