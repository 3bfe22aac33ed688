"""Artifacts of jobs, and files of reports."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from tests.integration.gateway.test_jobs import PROBLEM

from threadmill.reports.report_run import ReportRun, ReportState

pytestmark = pytest.mark.integration


def content_of(path):
    return Path(path).read_bytes()


def add_file(path):
    path.write_text("not a result")


def delete_file(path):
    path.unlink()


async def plotted(http, run):
    job = (await http.post("/v1/jobs", json={"prompt": "[[scenario=plot]]Plot a sine wave"})).json()
    await run(job["id"])
    return (await http.get(f"/v1/jobs/{job['id']}")).json()


async def test_the_artifacts_of_a_job_are_read_whole_and_in_ranges(http, run):
    job = await plotted(http, run)
    for file in job["result"]["files"]:
        link = job["links"][f"artifacts/{file['name']}"]
        whole = await http.get(link)
        assert whole.content == content_of(file["uri"])
        assert whole.headers["x-content-type-options"] == "nosniff"
        assert whole.headers["content-security-policy"] == "default-src 'none'; sandbox"
        shown = "inline" if file["media_type"].startswith("image/") else "attachment"
        assert whole.headers["content-disposition"].startswith(f"{shown}; filename*=UTF-8''")
        part = await http.get(link, headers={"Range": "bytes=1-4"})
        assert (part.status_code, part.content) == (206, whole.content[1:5])
        assert part.headers["content-range"] == f"bytes 1-4/{file['size']}"
        outside = await http.get(link, headers={"Range": "bytes=999999999-"})
        assert (outside.status_code, outside.headers["content-type"]) == (416, PROBLEM)


async def test_nothing_but_the_artifacts_of_the_job_is_read(http, run, settings):
    job = await plotted(http, run)
    here = f"/v1/jobs/{job['id']}/artifacts"
    add_file(Path(settings.artifacts, job["id"], "other.txt"))
    for name in ("other.txt", "..%2f..%2fetc%2fpasswd", ""):
        refused = await http.get(f"{here}/{name}")
        assert (refused.status_code, refused.headers["content-type"]) == (404, PROBLEM), name
    name = job["result"]["files"][0]["name"]
    delete_file(Path(settings.artifacts, job["id"], name))
    assert (await http.get(f"{here}/{name}")).status_code == 404


async def test_callers_do_not_read_each_others_artifacts(caller, run):
    shop, desk = caller("shop"), caller("desk")
    job = await plotted(shop, run)
    link = job["links"][f"artifacts/{job['result']['files'][0]['name']}"]
    assert (await shop.get(link)).status_code == 200
    assert (await desk.get(link)).status_code == 404


@pytest.fixture
def settings(make_settings, base_url, tmp_path):
    return make_settings(base_url, reports=tmp_path)


@pytest.fixture
def report(settings, store):
    """Writes a report of a tenant with one published night."""

    def write(name="daily", tenant="shop"):
        root = settings.reports
        (root / f"{name}.toml").write_text(f'tenant = "{tenant}"\npaths = ["notes"]\n')
        folder = root / "published" / name
        folder.mkdir(parents=True)
        (folder / "2026-07-01.html").write_text("<h1>The day</h1>")
        (folder / "2026-07-01.md").write_text("# The day")
        (folder / "2026-06-30.md").write_text("# Another day")
        run = ReportRun(
            report=name,
            night=date(2026, 7, 1),
            state=ReportState.PUBLISHED,
            begun_at=datetime(2026, 7, 2, tzinfo=UTC),
            files=tuple(str(folder / f"2026-07-01.{suffix}") for suffix in ("md", "html")),
        )
        store.hset(f"{settings.key_prefix}:reports:{name}", "2026-07-01", run.model_dump_json())
        return folder

    return write


async def test_a_report_is_listed_and_its_files_are_read(http, report):
    report()
    [listed] = (await http.get("/v1/reports")).json()["data"]
    [night] = (await http.get("/v1/reports/daily")).json()["nights"]
    assert listed["nights"] == [night]
    assert (night["night"], night["state"]) == ("2026-07-01", "published")
    page = await http.get(night["files"]["2026-07-01.html"])
    assert (page.text, page.headers["content-type"]) == ("<h1>The day</h1>", "text/html; charset=utf-8")
    assert "sandbox" in page.headers["content-security-policy"]
    assert page.headers["content-disposition"] == "inline"
    assert (await http.get(night["files"]["2026-07-01.md"])).text == "# The day"


async def test_only_the_files_of_the_night_are_read(http, report, tmp_path):
    folder = report()
    for path in (
        "daily/2026-07-01/2026-06-30.md",
        "daily/2026-06-30/2026-06-30.md",
        "daily/2026-07-01/..%2f..%2fdaily.toml",
        "other/2026-07-01/2026-07-01.md",
        "other",
    ):
        refused = await http.get(f"/v1/reports/{path}")
        assert (refused.status_code, refused.headers["content-type"]) == (404, PROBLEM), path
    secret = tmp_path / "secret.md"
    secret.write_text("secret")
    (folder / "2026-07-01.md").unlink()
    (folder / "2026-07-01.md").symlink_to(secret)
    assert (await http.get("/v1/reports/daily/2026-07-01/2026-07-01.md")).status_code == 404


async def test_a_caller_sees_only_the_reports_of_its_tenant(caller, report):
    report()
    shop, desk, operations = caller("shop"), caller("desk"), caller("operations", scopes=["read", "operate"])
    file = "/v1/reports/daily/2026-07-01/2026-07-01.md"
    for who, names, status in ((shop, ["daily"], 200), (operations, ["daily"], 200), (desk, [], 404)):
        assert [each["name"] for each in (await who.get("/v1/reports")).json()["data"]] == names
        assert (await who.get("/v1/reports/daily")).status_code == status
        assert (await who.get(file)).status_code == status
