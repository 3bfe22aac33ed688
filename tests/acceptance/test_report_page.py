"""A report's page in a browser, as a phone and a desktop show it, light and dark, and printed.

Collected where there is a Chromium; tests/unit/reports/rendering/test_html.py checks what can be checked without one.
"""

import base64
import re
from collections.abc import Iterator

import pytest
from tests.acceptance.chromium import Chromium
from tests.acceptance.page_checks import FAINT, STICK_OUT
from tests.reports import SHAPES

from threadmill.reports.rendering.html import render_html
from threadmill.reports.rendering.mail import render_mail

pytestmark = pytest.mark.acceptance

PHONE, DESKTOP = 390, 1280

BROKEN_LINKS = """
[...document.querySelectorAll('a')].map(a => a.getAttribute('href'))
  .filter(href => href.startsWith('#') ? !document.getElementById(href.slice(1)) : !/^(https?|mailto):/.test(href))
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with Chromium(tmp_path_factory.mktemp("chromium") / "profile") as running:
        yield running


@pytest.fixture(scope="module", params=SHAPES)
def page(request, tmp_path_factory):
    file = tmp_path_factory.mktemp("page") / "report.html"
    file.write_text(render_html(SHAPES[request.param]), "utf-8")
    return file.as_uri()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_a_page_can_be_read(page, width, scheme, browser):
    browser.open(page, width, {"prefers-color-scheme": scheme})
    assert browser.evaluate("innerWidth") == width
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate(STICK_OUT) == []
    assert browser.evaluate(BROKEN_LINKS) == []
    contrast = browser.evaluate(FAINT)
    assert contrast["looked"] > 10
    assert contrast["faint"] == []
    dark = browser.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert dark is (scheme == "dark")


def test_a_page_asks_for_nothing_and_complains_of_nothing(page, browser):
    browser.open(page, DESKTOP, {})
    requests = [e["params"]["request"]["url"] for e in browser.events if e["method"] == "Network.requestWillBeSent"]
    assert requests == [page]
    assert browser.complaints() == []


def test_a_page_can_be_printed(page, browser):
    browser.open(page, DESKTOP, {"prefers-color-scheme": "dark"})
    pdf = base64.b64decode(browser.call("Page.printToPDF", printBackground=True)["data"])
    assert pdf.startswith(b"%PDF-")


def test_the_contents_are_open_where_there_is_room(tmp_path, browser):
    file = tmp_path / "report.html"
    file.write_text(render_html(SHAPES["200 documents"]), "utf-8")
    shown = "document.querySelector('.contents li:last-child a').checkVisibility({contentVisibilityAuto: true})"
    browser.open(file.as_uri(), DESKTOP, {})
    assert browser.evaluate(shown)
    assert browser.evaluate("document.querySelector('.contents').getBoundingClientRect().height <= innerHeight")
    browser.open(file.as_uri(), PHONE, {})
    assert browser.evaluate("document.querySelector('.contents').getBoundingClientRect().height") < 100


def test_a_link_of_the_contents_unfolds_its_document(tmp_path, browser):
    file = tmp_path / "report.html"
    file.write_text(render_html(SHAPES["200 documents"]), "utf-8")
    browser.open(file.as_uri(), DESKTOP, {"prefers-reduced-motion": "reduce"})
    shown = "document.querySelector('#document-199 .text').checkVisibility({contentVisibilityAuto: true})"
    assert not browser.evaluate(shown)
    browser.evaluate("""document.querySelector('.contents a[href="#document-199"]').click()""")
    assert browser.evaluate(shown)
    top = browser.evaluate("document.getElementById('document-199').getBoundingClientRect().top")
    assert 0 <= top < browser.evaluate("innerHeight")


def test_a_large_night_prints_short(tmp_path, browser):
    file = tmp_path / "report.html"
    file.write_text(render_html(SHAPES["200 documents"]), "utf-8")
    browser.open(file.as_uri(), DESKTOP, {})
    pdf = base64.b64decode(browser.call("Page.printToPDF", printBackground=True)["data"])
    assert 1 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 3


@pytest.mark.parametrize("stripped", [False, True])
def test_a_mail_can_be_read_with_and_without_its_styles(tmp_path, browser, stripped):
    file = tmp_path / "mail.html"
    file.write_text(render_mail(SHAPES["everything"], "https://reports.example/daily.html"), "utf-8")
    browser.open(file.as_uri(), PHONE, {})
    if stripped:
        browser.evaluate("document.querySelectorAll('[style]').forEach(each => each.removeAttribute('style'))")
    assert browser.evaluate("document.documentElement.scrollWidth") <= PHONE
    lines = [line.strip() for line in browser.evaluate("document.body.innerText").splitlines() if line.strip()]
    assert lines[0] == "Lines & <plants>"
    places = [lines.index(each) for each in ("Documents\t5", "Open the full report", "Summary")]
    assert places == sorted(places)
    assert browser.evaluate(FAINT)["faint"] == []
