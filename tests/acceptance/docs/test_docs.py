"""Every command line and Python block of the README and the docs runs as its page shows it.

The commands are those of a bare environment, installed as a user installs it, without the development tools. The
endpoints that the pages name (davinci, openai, ...) are the emulator here.
"""

import os

import pytest
from tests.acceptance.docs.bare import ROOT, bare_environment
from tests.acceptance.docs.markdown import blocks
from tests.acceptance.docs.reader import reader

pytestmark = pytest.mark.acceptance

RUNS = ("sh", "cron", "python")  #: languages of blocks that run
PAGES = [
    page
    for page in (ROOT / "README.md", ROOT / "examples" / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    if any(block.language in RUNS for block in blocks(page))
]


@pytest.fixture(scope="session")
def bare(tmp_path_factory):
    """The bare environment of all tests, also of those that run side by side."""
    shared = tmp_path_factory.getbasetemp()
    with bare_environment(shared.parent if os.environ.get("PYTEST_XDIST_WORKER") else shared) as made:
        yield made


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_shows_runs(page, tmp_path, bare):
    shown = blocks(page)
    with reader(tmp_path, bare) as someone:
        for block in shown:
            someone.reads(block)
        programs = [block for block in shown if block.language == "python" and not block.file]
        if programs:
            someone.runs(programs)
