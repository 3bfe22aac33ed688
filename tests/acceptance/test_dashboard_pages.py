"""The dashboard in a browser: on a desktop and a phone, light and dark, in Chinese, live, and without JavaScript.

Collected where there is a Chromium. `AXE` may name the file of a newer axe-core.
"""

import os
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.chromium import Chromium
from tests.acceptance.page_checks import FAINT, STICK_OUT
from tests.acceptance.site import until
from tests.conftest import PATIENCE_S
from tests.served import served

from threadmill import Client, Settings
from threadmill_gateway.app import create_app
from threadmill_gateway.options import GatewayOptions

pytestmark = pytest.mark.acceptance

PHONE, DESKTOP = 390, 1280

#: Jobs that end while somebody watches.
WATCHED = 100

#: Texts that would run a script, or break out of their place, if a page let them.
HOSTILE = (
    "<script>window.hacked = 1</script>",
    "<img src=x onerror='window.hacked = 1'>",
    "\"><svg onload='window.hacked = 1'>",
    "' autofocus onfocus='window.hacked = 1",
    '[a](javascript:window.hacked=1) ![b](x" onerror="window.hacked=1)',
    "</textarea></pre></code><script>window.hacked = 1</script>",
    "{{ 7 * 7 }} {% raw %} ${window.hacked = 1}",
    "\u202egpj.exe\u0000\u001b[31m",
)

#: What axe-core finds wrong by WCAG 2.2 AA.
VIOLATIONS = """
axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']})
  .then(found => found.violations.map(each => [each.id, each.nodes.slice(0, 3).map(node => node.html.slice(0, 200))]))
"""

PAGES = {
    "tonight": "/",
    "batches": "/batches",
    "a batch": "/batches/night",
    "its results": "/batches/night/results",
    "jobs": "/jobs?state=failed",
    "a job": "/jobs/{failed}",
    "an answered job": "/jobs/{answered}",
    "playground": "/playground",
    "a conversation": "/playground/{answered}",
    "threads": "/threads",
    "reports": "/reports",
    "a report": "/reports/daily",
    "an error": "/nothing",
}


class Night:
    """A gateway with jobs that were run, and the addresses of its pages."""

    def __init__(self, url: str, client: Client, **ids: str) -> None:
        self.url = url
        self.client = client
        self._ids = ids  #: of jobs, which addresses name

    def page(self, name: str, language: str = "en") -> str:
        path = PAGES[name].format(**self._ids)
        return f"{self.url}{path}{'&' if '?' in path else '?'}lang={language}"


@pytest.fixture(scope="module")
def night(
    make_settings: Callable[..., Settings],
    emulate: Callable[..., Any],
    start_worker_for_all: Callable[..., Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Night]:
    reports = tmp_path_factory.mktemp("reports")
    (reports / "daily.toml").write_text('paths = ["*.txt"]\nschedule = "0 6 * * *"\nbudget = {max_cost = 5}\n')
    with emulate() as emulated:
        settings = make_settings(emulated.base_url, reports=str(reports))
        client = Client(settings)
        start_worker_for_all(settings)
        asked = [
            {
                "prompt": f"[[scenario=failed code=invalid_prompt]] {text}" if number % 2 else text,
                "batch": "night",
                "metadata": {"order": text.replace("\u0000", "")[:500]},
                "keep_thread": not number,
            }
            for number, text in enumerate(
                (*HOSTILE, "# Why\n\n- is the **sky** blue?\n\n| a | b |\n|---|---|\n| 1 | 2 |")
            )
        ]
        handles = client.enqueue_many(asked)
        ended = [(handle.id, handle.wait(PATIENCE_S).failure) for handle in handles]
        failed = next(job_id for job_id, failure in ended if failure)
        answered = next(job_id for job_id, failure in ended if not failure)
        client.enqueue({"prompt": "Later?", "delay_s": 3600, "batch": "later"})
        with served(create_app(settings, GatewayOptions())) as url:
            yield Night(url, client, failed=failed, answered=answered)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with Chromium(tmp_path_factory.mktemp("chromium") / "profile") as running:
        yield running


@pytest.fixture(scope="module")
def axe() -> str:
    named = os.environ.get("AXE")
    return Path(named).read_text() if named else resources.files("axe_core_python").joinpath("axe.min.js").read_text()


@pytest.mark.parametrize(
    ("width", "scheme", "language"), [(DESKTOP, "light", "en"), (PHONE, "dark", "en"), (PHONE, "light", "zh-TW")]
)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_can_be_read_by_everybody(name, width, scheme, language, night, browser, axe):
    browser.open(night.page(name, language), width, {"prefers-color-scheme": scheme})
    assert browser.evaluate("document.documentElement.lang") == language
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate(STICK_OUT) == []
    contrast = browser.evaluate(FAINT)
    assert contrast["looked"] > 5
    assert contrast["faint"] == []
    browser.evaluate(axe)
    assert browser.evaluate(VIOLATIONS) == []


@pytest.mark.parametrize("name", PAGES)
def test_what_users_and_models_wrote_does_nothing(name, night, browser):
    browser.open(night.page(name), DESKTOP, {})
    browser.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
    assert browser.evaluate("window.hacked") is None
    strangers = [url for url in _requests(browser) if not url.startswith((night.url, "data:"))]
    assert strangers == []
    if name != "an error":  # its own status is logged
        assert browser.complaints() == []


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_whole_without_scripts(name, night, browser):
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(night.page(name), DESKTOP, {})
        html = browser.html()
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)
    assert "<h1" in html
    assert "<nav" in html or name == "an error"


def test_an_endpoint_is_paused_without_scripts(night, browser):
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(night.page("tonight"), DESKTOP, {})
        browser.click("#pause-emulator summary")
        browser.click("#pause-emulator button")
        until(lambda: any(pool.paused is not None for pool in night.client.pools("emulator")), "the endpoint is paused")
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)
        night.client.resume_endpoint("emulator")


def test_the_keyboard_comes_first_to_the_content(night, browser):
    browser.open(night.page("tonight"), DESKTOP, {})
    browser.press("Tab")
    assert browser.evaluate("document.activeElement.className") == "skip"
    assert browser.evaluate("document.activeElement.getBoundingClientRect().top") >= 0
    browser.press("Enter")
    assert browser.evaluate("document.activeElement.id") == "content"


def test_jobs_are_watched_without_a_reload(night, browser):
    browser.open(night.page("tonight"), DESKTOP, {})
    browser.evaluate("window.isTheSame = true")
    handles = night.client.enqueue_many([{"prompt": f"{n}?", "batch": "watched"} for n in range(WATCHED)])
    until(lambda: "watched" in browser.evaluate("document.getElementById('batches').textContent"), "the batch is shown")
    for handle in handles:
        assert handle.wait(PATIENCE_S).failure is None
    until(lambda: "watched" not in browser.evaluate("document.getElementById('batches').textContent"), "it is over")
    assert browser.evaluate("window.isTheSame") is True
    assert browser.complaints() == []


def test_what_somebody_is_about_to_do_is_kept_while_the_page_changes(night, browser):
    browser.open(night.page("tonight"), DESKTOP, {})
    browser.click("#pause-emulator summary")
    browser.evaluate("document.getElementById('reason-emulator').value = 'the bill'")
    night.client.pause_endpoint("emulator")
    try:
        until(
            lambda: "emulator" in browser.evaluate("document.getElementById('alerts').textContent"), "the page changed"
        )
        assert browser.evaluate("document.getElementById('reason-emulator').value") == "the bill"
    finally:
        night.client.resume_endpoint("emulator")


def _requests(browser: Chromium) -> list[str]:
    return [e["params"]["request"]["url"] for e in browser.events if e["method"] == "Network.requestWillBeSent"]
