"""Fixtures of the acceptance tests. The figures that tests measure are printed at the end of the run."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.acceptance.chromium import find_chromium
from tests.acceptance.site import Site
from tests.conftest import marked

#: Without a browser these tests are not even collected; .ci/run installs one.
collect_ignore = [] if find_chromium() else ["test_report_page.py", "test_dashboard_pages.py"]


@pytest.fixture
def site(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[Site]:
    """A Redis, an emulator and workers for one test; `@pytest.mark.settings(lease_s=5)` changes its settings."""
    made = Site(tmp_path, marked(request, "settings"))
    yield made
    made.close()


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Adds a figure to those that are printed at the end of the run."""
    return lambda figure: record_property("figure", figure)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reports = [report for each in ("passed", "failed") for report in terminalreporter.stats.get(each, [])]
    figures = [
        (report.nodeid.partition("::")[2], text)
        for report in reports
        if report.when == "call"
        for name, text in report.user_properties
        if name == "figure"
    ]
    if figures:
        terminalreporter.section("figures")
    for test, text in figures:
        terminalreporter.line(f"{test}: {text}")
