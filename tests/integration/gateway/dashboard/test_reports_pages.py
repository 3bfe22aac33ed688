"""`/reports`: the calendar of a report, and its nights."""

from datetime import UTC, date, datetime, timedelta

import pytest
from tests.pages import ACCEPT, text_of

from threadmill.reports.report_run import ReportRun, ReportState

pytestmark = pytest.mark.integration

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"


@pytest.fixture
def settings(make_settings, base_url, tmp_path, request):
    mark = request.node.get_closest_marker("settings")
    return make_settings(base_url, reports=tmp_path, **(mark.kwargs if mark else {}))


@pytest.fixture
def report(settings, store):
    """Writes a report, and what is stored of one night."""

    def write(night=date(2026, 7, 1), state=ReportState.PUBLISHED, definition='paths = ["notes"]\n', **fields):
        root = settings.reports
        (root / "daily.toml").write_text(definition)
        folder = root / "published" / "daily"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{night}.html").write_text("<h1>The day</h1><script>alert(1)</script>")
        (folder / f"{night}.md").write_text("# The day")
        files = tuple(str(folder / f"{night}.{suffix}") for suffix in ("md", "html"))
        given = {"begun_at": datetime(2026, 7, 2, tzinfo=UTC), "documents": 3, "files": files} | fields
        run = ReportRun(report="daily", night=night, state=state, **given)
        store.hset(f"{settings.key_prefix}:reports:daily", str(night), run.model_dump_json())

    return write


async def test_an_empty_folder_says_what_a_report_is(http, settings):
    page = await http.get("/reports", headers=ACCEPT)
    assert page.status_code == 200
    assert str(settings.reports) in page.text
    assert "threadmill report run NAME --dry-run" in page.text


async def test_reports_are_listed_with_their_latest_nights_and_problems(http, report, settings):
    report()
    (settings.reports / "broken.toml").write_text(f'colour = "{HOSTILE}"\n')
    page = await http.get("/reports", headers=ACCEPT)
    assert 'href="/reports/daily"' in page.text
    assert 'href="/reports/daily/2026-07-01"' in page.text
    assert "threadmill report check broken" in page.text
    assert "<script>alert" not in page.text


async def test_a_month_shows_the_state_of_each_night(http, report):
    report()
    report(date(2026, 7, 2), ReportState.FAILED, error="too many failed")
    report(date(2026, 7, 3), ReportState.SKIPPED)
    page = text_of((await http.get("/reports/daily?month=2026-07", headers=ACCEPT)).text)
    assert "1 made 3 documents 2 failed 3 documents 3 no documents" in page
    assert "2026-06" in page
    assert "2026-08" in page
    chinese = text_of((await http.get("/reports/daily?month=2026-07&lang=zh-TW", headers=ACCEPT)).text)
    assert "1 已製作 3 份文件 2 失敗 3 份文件 3 沒有文件" in chinese


async def test_due_and_scheduled_nights_are_shown(http, report):
    report(definition='paths = ["notes"]\nschedule = "0 0 * * *"\n')
    page = text_of((await http.get("/reports/daily", headers=ACCEPT)).text)
    assert "Next report" in page
    assert "0 0 * * *" in page
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    assert "scheduled" in text_of((await http.get(f"/reports/daily?month={tomorrow:%Y-%m}", headers=ACCEPT)).text)


@pytest.mark.parametrize("month", ["2026-99", "9999-12", "%3Cscript%3E"])
async def test_what_is_no_month_shows_the_latest(http, report, month):
    report()
    page = await http.get(f"/reports/daily?month={month}", headers=ACCEPT)
    assert page.status_code == 200
    assert "<script>" not in page.text


async def test_a_night_shows_its_page_in_a_sandbox(http, report):
    report(deliveries={"mail": HOSTILE})
    page = await http.get("/reports/daily/2026-07-01", headers=ACCEPT)
    assert '<iframe class="report"' in page.text
    assert " sandbox " in page.text
    assert "threadmill report run daily --date 2026-07-01<" in page.text
    assert "<script>alert" not in page.text
    assert "Not delivered by mail" in text_of(page.text)
    assert "frame-src 'self'" in page.headers["content-security-policy"]
    framed = await http.get("/reports/daily/2026-07-01/2026-07-01.html", headers=ACCEPT)
    policy = framed.headers["content-security-policy"]
    assert framed.text.startswith("<h1>The day")
    assert "sandbox" in policy
    assert "script-src" not in policy
    assert "default-src 'none'" in policy


async def test_nothing_but_the_files_of_a_night_is_read(http, report, settings):
    report()
    for path in ("2026-07-01/..%2f..%2fdaily.toml", "2026-06-30/2026-07-01.md", "2026-07-01/other.md"):
        assert (await http.get(f"/reports/daily/{path}", headers=ACCEPT)).status_code == 404, path
    for path in ("other", "other/2026-07-01", "other/2026-07-01/a.md"):
        missing = await http.get(f"/reports/{path}", headers=ACCEPT)
        assert (missing.status_code, missing.headers["content-type"]) == (404, "text/html; charset=utf-8"), path


async def test_a_night_that_was_not_made_says_how_to_make_it(http, report):
    report()
    page = await http.get("/reports/daily/2026-07-09", headers=ACCEPT)
    assert "Nothing was made for this night" in page.text
    assert "threadmill report run daily --date 2026-07-09" in page.text


async def test_an_interrupted_night_says_so(http, report):
    report(state=ReportState.MAKING, files=())
    page = text_of((await http.get("/reports/daily/2026-07-01", headers=ACCEPT)).text)
    assert "It was interrupted" in page
    assert "being made" in page


@pytest.mark.settings(dashboard={"redact": True})
async def test_what_reports_say_can_be_hidden(http, report):
    report()
    page = await http.get("/reports/daily/2026-07-01", headers=ACCEPT)
    assert "iframe" not in page.text
    assert "These pages hide what reports say" in page.text
    refused = await http.get("/reports/daily/2026-07-01/2026-07-01.md", headers=ACCEPT)
    assert refused.status_code == 403
    assert "The day" not in refused.text


async def test_artifacts_are_read_with_a_session(http, run):
    job = (await http.post("/v1/jobs", json={"prompt": "[[scenario=plot]]Plot a sine wave"})).json()
    await run(job["id"])
    record = (await http.get(f"/v1/jobs/{job['id']}")).json()
    name = record["result"]["files"][0]["name"]
    here, there = (
        await http.get(f"/jobs/{job['id']}/artifacts/{name}"),
        await http.get(record["links"][f"artifacts/{name}"]),
    )
    assert (here.status_code, here.content) == (200, there.content)
    assert (await http.get(f"/jobs/{job['id']}/artifacts/other.txt", headers=ACCEPT)).status_code == 404
