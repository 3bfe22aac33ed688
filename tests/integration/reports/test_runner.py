"""`threadmill report` with Redis, workers and the emulator: one report per night."""

import json
import os
import signal
import subprocess
from datetime import UTC, datetime, timedelta

import pytest
import redis

pytestmark = pytest.mark.integration

#: Fires at 6:00 in Taipei about the day before.
DAILY = """
title = "Operations of {{ date }}"
schedule = "0 6 * * *"
time_zone = "Asia/Taipei"
paths = ["notes/{{ date }}"]
[map]
prompt = "[[run_s=RUN_S]]\\nSummarise:\\n{{ text }}"
[reduce]
prompt = "[[run_s=0.1]]\\nReport on {{ date }}:\\n{{ text }}"
at_most = 5
"""

MORNING = "2026-11-21T06:00+08:00"  # about the 20th
NIGHT = ("report", "run", "daily", "--date", "2026-11-20")
BEFORE = datetime(2026, 11, 19, 12, tzinfo=UTC).timestamp()  # after the fire of the 19th, before that of the 20th


class Site:
    """A folder with a definition and its documents, and the commands in it."""

    def __init__(self, folder, command, environment, run_cli, until):
        self.folder = folder
        self._command = command
        self._environment = environment
        self._run_cli = run_cli
        self._until = until

    def define(self, more: str = "", run_s: float = 0.05, written_at: float = BEFORE) -> None:
        file = self.folder / "reports" / "daily.toml"
        file.parent.mkdir(exist_ok=True)
        head, _, rest = DAILY.partition("[map]")
        file.write_text(head + "\n".join([more, "[map]"]) + rest.replace("RUN_S", str(run_s)))
        os.utime(file, (written_at, written_at))

    def write(self, night: str, number: int) -> None:
        folder = self.folder / "notes" / night
        folder.mkdir(parents=True)
        for index in range(number):
            (folder / f"note-{index:02}.md").write_text(f"Note {index} of {night}.\n")

    def run(self, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        return self._run_cli(*arguments, **self._environment, **variables)

    def begin(self, *arguments: str) -> "subprocess.Popen[str]":
        environment = {**os.environ, **self._environment}
        pipe = subprocess.PIPE
        command = self._command(*arguments)
        return subprocess.Popen(command, cwd=self.folder, env=environment, stdout=pipe, stderr=pipe, text=True)

    def nights(self) -> dict[str, dict[str, object]]:
        listed = self.run("report", "list", "--json")
        return {night["night"]: night for night in json.loads(listed.stdout)}

    def state(self, step: str, night: str = "2026-11-20") -> list[dict[str, object]]:
        file = self.folder / "reports" / ".state" / "daily" / night / f"{step}.jsonl"
        lines = file.read_text("utf-8").splitlines() if file.exists() else []
        return [json.loads(line) for line in lines]

    def page(self, night: str = "2026-11-20") -> str:
        return (self.folder / "reports" / "published" / "daily" / f"{night}.html").read_text("utf-8")

    def published(self) -> list[str]:
        return sorted(file.name for file in (self.folder / "reports" / "published").rglob("*.html"))


@pytest.fixture
def site(tmp_path, cli_command, settings, settings_as_environment, start_worker, run_cli, until):
    start_worker(settings)
    return Site(tmp_path, cli_command, settings_as_environment(settings), run_cli, until)


def test_a_night_is_produced_once_and_lists_its_failures(site, emulator):
    site.define("catch_up = 0")
    site.write("2026-11-20", 12)
    (site.folder / "notes" / "2026-11-20" / "note-99.md").touch()

    first = site.run(*NIGHT)

    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith("daily 2026-11-20: published, /")
    assert "Operations of 2026-11-20" in site.page()
    assert "note-99.md" in site.page()
    assert "is empty" in site.page()
    assert [len(site.state(step)) for step in ("map", "reduce-1", "reduce-2")] == [13, 3, 1]
    assert emulator.completed() == 16

    again = site.run(*NIGHT)
    due = site.run("report", "due", "--now", MORNING)
    assert (again.returncode, again.stdout) == (0, first.stdout)
    assert (due.returncode, due.stdout) == (0, "")
    assert emulator.completed() == 16, "nothing was asked again"

    anew = site.run(*NIGHT, "--again")
    assert anew.returncode == 0, anew.stderr
    assert emulator.completed() == 32


def test_a_document_longer_than_a_message_is_asked_about_in_parts(site, emulator):
    site.define("split = true")
    site.write("2026-11-20", 1)
    (site.folder / "notes" / "2026-11-20" / "minutes.md").write_text("The belt was changed.\n" * 12_000)

    done = site.run(*NIGHT)

    assert done.returncode == 0, done.stderr
    parts = {line["name"]: len(line.get("parts", [line])) for line in site.state("map")}
    assert parts == {"note-00.md": 1, "minutes.md": 2}
    assert emulator.completed() == 3 + 1


def test_the_next_command_continues_after_one_was_killed(site, emulator, until):
    site.define(run_s=0.3)
    site.write("2026-11-20", 40)

    with site.begin("report", "due", "--now", MORNING) as killed:
        until(lambda: len(site.state("map")) >= 5)
        killed.send_signal(signal.SIGKILL)
    finished = {line["job_id"] for line in site.state("map")}
    waits = site.run(*NIGHT)

    assert waits.returncode == 0, waits.stderr
    assert "is producing this report; waiting for it." in waits.stderr, (
        "until the lease of the killed one interruptions"
    )
    assert finished < {line["job_id"] for line in site.state("map")}
    assert emulator.completed() == 40 + 8 + 2 + 1, "no document, and no reduction, was asked twice"
    night = site.nights()["2026-11-20"]
    assert (night["state"], night["attempts"], night["documents"]) == ("published", 2, 40)


@pytest.mark.settings(lease_s=1)
def test_a_killed_production_is_resumed_from_any_step(site, emulator, hook, until):
    hook.delay_s = 0.3
    site.define(f'catch_up = 0\n[delivery.webhook]\nurl = "{hook.url}"\n', run_s=0.2)
    site.write("2026-11-20", 30)
    finished = site.folder / "reports" / ".state" / "daily" / "2026-11-20" / "report.json"

    for reached in (
        lambda: len(site.state("map")) > 3,
        lambda: len(site.state("map")) > 20,
        lambda: site.state("reduce-1"),
        lambda: hook.requests,
    ):
        with site.begin(*NIGHT) as call:
            until(reached)
            call.send_signal(signal.SIGKILL)
    made_at = finished.stat().st_mtime_ns
    last = site.run(*NIGHT)

    assert last.returncode == 0, last.stdout
    assert finished.stat().st_mtime_ns == made_at, "a report that is made is not made again"
    assert emulator.completed() == 30 + 6 + 2 + 1, "nothing was asked twice"
    assert hook.keys() == ["daily/2026-11-20"] * 2, "what was on its way is sent again, under the same key"
    assert site.nights()["2026-11-20"]["attempts"] == 5


def test_two_concurrent_commands_produce_each_night_once(site, emulator):
    site.define(run_s=0.2)
    site.write("2026-11-19", 10)
    site.write("2026-11-20", 10)

    calls = [site.begin("report", "due", "--now", MORNING, "--json") for _ in range(2)]
    made = []
    for call in calls:
        out, said = call.communicate(timeout=60)
        assert call.returncode == 0, said
        made += json.loads(out)

    assert sorted(night["night"] for night in made) == ["2026-11-19", "2026-11-20"]
    assert site.published() == ["2026-11-19.html", "2026-11-20.html"]
    assert {night["state"] for night in site.nights().values()} == {"published"}
    assert emulator.completed() == 2 * (10 + 2 + 1)


def test_a_stopped_scheduler_hands_its_night_back(site, store: redis.Redis, settings, emulator, until):
    site.define("catch_up = 0", run_s=0.5)
    definition = site.folder / "reports" / "daily.toml"
    fired = datetime.now(UTC) - timedelta(hours=1)
    definition.write_text(
        definition.read_text().replace("0 6 * * *", f"{fired.minute} {fired.hour} * * *").replace("Asia/Taipei", "UTC")
    )
    os.utime(definition, (BEFORE, BEFORE))
    night = str(fired.date() - timedelta(days=1))
    site.write(night, 60)

    with site.begin("report", "schedule") as scheduler:
        until(lambda: site.state("map", night))
        scheduler.send_signal(signal.SIGTERM)
        _, said = scheduler.communicate(timeout=30)
    handed_back = site.nights()[night]

    assert scheduler.returncode == 0, said
    lines = [json.loads(line) for line in said.splitlines()]
    assert [line["event"] for line in lines] == ["scheduler started", "scheduler stopping", "scheduler stopped"]
    assert (lines[0]["files"], lines[0]["next_report"]) == ([str(definition)], "daily")
    assert datetime.fromisoformat(lines[0]["next_at"]) == fired.replace(second=0, microsecond=0) + timedelta(days=1)
    assert store.get(f"{settings.key_prefix}:reports:daily:{night}:held") is None
    assert (handed_back["state"], handed_back["attempts"]) == ("making", 0)
    assert "interrupted; the next call resumes it" in site.run("report", "list").stdout
    assert site.run("report", "due").returncode == 0
    assert site.published() == [f"{night}.html"]
    assert emulator.completed() == 60 + 12 + 3 + 1


def test_ctrl_c_hands_the_night_back_and_says_how_to_resume(site, emulator, until):
    site.define(run_s=0.5)
    site.write("2026-11-20", 40)

    with site.begin(*NIGHT) as call:
        until(lambda: site.state("map"))
        call.send_signal(signal.SIGINT)
        _, said = call.communicate(timeout=30)
    handed_back = site.nights()["2026-11-20"]

    assert call.returncode == 130, said
    assert "Stopped. Run the same command again to resume." in said
    assert "Traceback" not in said
    assert (handed_back["state"], handed_back["attempts"]) == ("making", 0)
    again = site.run(*NIGHT)
    assert (again.returncode, "is producing this report" in again.stderr) == (0, False), "its lease was given back"
    assert emulator.completed() == 40 + 8 + 2 + 1


def test_a_failed_delivery_is_repeated_without_asking_again(site, emulator, hook):
    hook.answers = [404]
    site.define(f'[delivery]\nurl = "https://reports.example/"\n[delivery.webhook]\nurl = "{hook.url}"\n')
    site.write("2026-11-20", 6)

    first = site.run(*NIGHT)
    page = site.page()
    second = site.run(*NIGHT)

    link = "https://reports.example/daily/2026-11-20.html"
    assert first.returncode == 1
    assert first.stdout == f"daily 2026-11-20: published, {link}, webhook not delivered: the webhook replied 404\n"
    assert (second.returncode, second.stdout) == (0, f"daily 2026-11-20: published, {link}\n")
    assert hook.keys() == ["daily/2026-11-20"] * 2
    _, body = hook.requests[1]
    assert (body["link"], body["documents"], body["failed"]) == (link, 6, [])
    assert site.page() == page, "the very same"
    assert emulator.completed() == 6 + 2 + 1


def test_no_deliver_publishes_and_a_later_run_delivers(site, emulator, hook):
    site.define(f'catch_up = 0\n[delivery.webhook]\nurl = "{hook.url}"\n')
    site.write("2026-11-20", 2)

    rehearsed = site.run("report", "due", "--now", MORNING, "--no-deliver")
    assert (rehearsed.returncode, hook.requests) == (0, [])
    assert rehearsed.stdout.endswith("2026-11-20.html, not delivered\n")
    assert site.published() == ["2026-11-20.html"]

    site.run("report", "due", "--now", MORNING)
    assert hook.requests == [], "a rehearsed night is not due"
    delivered = site.run(*NIGHT)
    assert (delivered.returncode, hook.keys()) == (0, ["daily/2026-11-20"])
    assert emulator.completed() == 3, "nothing was asked again"


def test_check_names_each_variable_that_is_not_set(site):
    site.define('[delivery.webhook]\nurl_env = "NO_SUCH_HOOK"\n')
    site.write("2026-11-20", 1)

    checked = site.run("report", "check", "daily", "--date", "2026-11-20")

    assert checked.returncode == 1
    assert "the variable NO_SUCH_HOOK is not set: export NO_SUCH_HOOK=..." in checked.stderr


def test_a_failed_night_and_its_later_report_are_both_delivered(site, hook):
    site.define(f'publish_if_failed_at_most = 0\n[delivery.webhook]\nurl = "{hook.url}"\n')
    site.write("2026-11-20", 2)
    empty = site.folder / "notes" / "2026-11-20" / "empty.md"
    empty.touch()

    assert site.run(*NIGHT).returncode == 1
    empty.write_text("Not any more.")
    assert site.run(*NIGHT).returncode == 0

    assert hook.keys() == ["daily/2026-11-20/failed", "daily/2026-11-20"]
    (_, bad), (_, good) = hook.requests
    assert bad["state"] == "failed"
    assert (bad["title"], "1 of 3 documents failed" in bad["error"]) == ("Operations of 2026-11-20: failed", True)
    assert (good["state"], good["documents"]) == ("published", 3)


def test_a_command_that_lost_its_lease_stops_and_waits(site, emulator, store: redis.Redis, settings, until):
    site.define(run_s=0.3)
    site.write("2026-11-20", 60)
    held = f"{settings.key_prefix}:reports:daily:2026-11-20:held"

    with site.begin(*NIGHT) as call:
        until(lambda: site.state("map"))
        store.set(held, "elsewhere:7:abc")
        waiting = next((line for line in call.stderr if "is producing this report" in line), "it ended")
        assert waiting == "elsewhere:7 is producing this report; waiting for it.\n"
        assert "published" not in store.hget(f"{settings.key_prefix}:reports:daily", "2026-11-20")
        store.delete(held)
        out, said = call.communicate(timeout=60)

    assert call.returncode == 0, said
    assert out.startswith("daily 2026-11-20: published, ")
    assert emulator.completed() == 60 + 12 + 3 + 1


def test_a_page_with_a_custom_template(site):
    site.define('[templates]\nhtml = "page.html.j2"\n')
    site.write("2026-11-20", 2)
    template = site.folder / "page.html.j2"

    missing = site.run(*NIGHT)
    template.write_text("<p>{{ report.sections | length }} documents</p>")
    there = site.run(*NIGHT)

    assert "failed, template page.html.j2: cannot be read: " in missing.stdout
    assert there.returncode == 0, there.stdout
    assert site.page() == "<p>2 documents</p>"


def test_nights_before_the_definition_are_not_owed(site):
    site.define(written_at=datetime.fromisoformat(MORNING).timestamp() + 1)
    site.write("2026-11-20", 1)

    early = site.run("report", "due", "--now", "2026-11-21T07:00+08:00")

    assert (early.returncode, early.stdout) == (0, "")


def test_too_many_failures_fail_the_night_until_it_is_run_again(site):
    site.define("publish_if_failed_at_most = 0")
    site.write("2026-11-20", 3)
    empty = site.folder / "notes" / "2026-11-20" / "empty.md"
    empty.touch()
    (site.folder / "notes" / "2026-11-19").mkdir()

    due = site.run("report", "due", "--now", MORNING)

    assert due.returncode == 1
    assert "daily 2026-11-20: failed, 1 of 4 documents failed, and publish_if_failed_at_most is 0: " in due.stdout
    assert "empty.md: is empty" in due.stdout
    assert "daily 2026-11-19: failed, notes/2026-11-19: no such file or folder, or no file in it" in due.stdout
    assert not (site.folder / "reports" / "published").exists()
    assert site.run("report", "due", "--now", MORNING).returncode == 0, "what failed is not due"

    empty.write_text("Not any more.")
    mended = site.run(*NIGHT)
    assert mended.returncode == 0, mended.stdout
    assert site.nights()["2026-11-20"]["state"] == "published"


def test_an_empty_night_is_skipped_if_allowed(site, emulator):
    site.define('when_empty = "skip"\ncatch_up = 0')

    due = site.run("report", "due", "--now", MORNING)
    assert (due.returncode, due.stdout) == (0, "daily 2026-11-20: skipped, no documents in notes/2026-11-20\n")
    assert site.run("report", "due", "--now", MORNING).stdout == "", "nor is it due any more"
    assert site.nights()["2026-11-20"]["state"] == "skipped"

    site.write("2026-11-20", 2)
    late = site.run(*NIGHT)
    assert late.stdout.startswith("daily 2026-11-20: published, "), late.stderr
    assert emulator.completed() == 3


def test_a_report_that_exceeds_its_budget_fails(site):
    site.define("[budget]\nmax_tokens = 50\n")
    site.write("2026-11-20", 10)

    over = site.run(*NIGHT)

    assert over.returncode == 1
    assert "tokens are spent, of at most 50" in over.stdout


def test_an_error_in_one_report_does_not_affect_others(site):
    site.define()
    site.write("2026-11-20", 1)
    (site.folder / "notes" / "2026-11-19").mkdir()
    (site.folder / "notes" / "2026-11-19" / "a.md").write_text("A note.")
    (site.folder / "reports" / "broken.toml").write_text('schedule = "at six"\npaths = ["x"]\n')

    due = site.run("report", "due", "--now", MORNING)

    assert due.returncode == 1
    assert "broken: reports/broken.toml: schedule 'at six': " in due.stderr
    assert site.published() == ["2026-11-19.html", "2026-11-20.html"]


def test_only_old_nights_are_removed(site, store: redis.Redis, settings):
    site.define("keep_days = 30")
    for night in ("2026-10-01", "2026-11-20"):
        site.write(night, 2)
    assert site.run("report", "run", "daily", "--date", "2026-10-01").returncode == 0
    mine = site.folder / "reports" / "published" / "daily" / "mine.html"
    mine.write_text("mine")
    key = f"{settings.key_prefix}:reports:daily"
    old = json.loads(store.hget(key, "2026-10-01")) | {"ended_at": "2026-10-02T00:00:00Z"}
    store.hset(key, "2026-10-01", json.dumps(old))

    assert site.run(*NIGHT).returncode == 0

    assert site.published() == ["2026-11-20.html", "mine.html"]
    assert list(site.nights()) == ["2026-11-20"]
    assert not (site.folder / "reports" / ".state" / "daily" / "2026-10-01").exists()


def test_check_contacts_no_server(site, emulator):
    site.define("rows = false")
    site.write("2026-11-20", 3)

    good = site.run("report", "check", "daily", "--date", "2026-11-20", "--json")
    nothing = site.run("report", "check", "daily", "--date", "2026-11-01")

    facts = json.loads(good.stdout)
    assert (facts["documents"], facts["title"], len(facts["next_fires"])) == (3, "Operations of 2026-11-20", 3)
    assert "notes/2026-11-01: no such file or folder" in nothing.stderr
    assert emulator.stats()["runs"]["by_status"] == {}


def test_a_folder_without_reports_is_an_error(site):
    for command in ("due", "schedule"):
        done = site.run("report", command)
        assert done.returncode == 2
        assert f"there is no report in {site.folder}/reports: write " in done.stderr


def test_a_folder_that_cannot_be_written_fails_the_night(site):
    site.define('[delivery]\nfolder = "notes/2026-11-20/note-00.md"\n')
    site.write("2026-11-20", 2)

    done = site.run(*NIGHT)

    assert done.returncode == 1
    assert "failed, notes/2026-11-20/note-00.md/daily: Not a directory" in done.stdout
