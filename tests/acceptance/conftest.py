"""Fixtures of the acceptance tests; what a test measures is told at the end of the run."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.acceptance.chromium import find_chromium
from tests.acceptance.site import Site
from tests.conftest import marked

#: Without a browser these are no tests that are skipped, but none; .ci/run sees to one.
collect_ignore = [] if find_chromium() else ["test_report_page.py"]


@pytest.fixture
def site(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[Site]:
    """A Redis, an emulator and workers of the test's own; `@pytest.mark.settings(lease_s=5)` changes its settings."""
    made = Site(tmp_path, marked(request, "settings"))
    yield made
    made.close()


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Puts a figure into the report of the run."""
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
