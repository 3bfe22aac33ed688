"""How a result shows itself at the command line, and whose files --local reads."""

import json
from datetime import UTC, datetime

import pytest

from threadmill import Artifact, JobResult, JobState, PromptJob, Settings
from threadmill.errors import InvalidJob
from threadmill.job.result import Timings
from threadmill.settings.local_files import locate
from threadmill_cli.commands.jobs.results import show_result
from threadmill_cli.environment import with_file_roots
from threadmill_cli.local.services import Local

NOW = datetime(2026, 11, 20, tzinfo=UTC)
RESULT = JobResult(
    job_id="j",
    state=JobState.SUCCEEDED,
    text="See chart.png",
    files=(
        Artifact(file_id="file-1", name="chart.png", uri="/data/artifacts/j/chart.png"),
        Artifact(file_id="file-2", name="[big].csv", error="it has more than 100,000,000 bytes"),
    ),
    thread_id="thread_1",
    timings=Timings(created_at=NOW, finished_at=NOW),
)


def test_the_answer_is_data_its_files_and_thread_are_remarks(capsys):
    show_result(RESULT, as_json=False)
    shown = capsys.readouterr()
    assert shown.out == "See chart.png\n"
    assert shown.err.splitlines() == [
        "file chart.png: /data/artifacts/j/chart.png",
        "file [big].csv: could not be downloaded: it has more than 100,000,000 bytes",
        "thread thread_1 is kept: continue it with --thread thread_1",
    ]


def test_json_has_all_of_it(capsys):
    show_result(RESULT, as_json=True)
    shown = capsys.readouterr()
    assert JobResult.model_validate(json.loads(shown.out)) == RESULT
    assert shown.err == ""


def test_under_local_the_worker_may_read_the_users_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in ("a/x.png", "b/y.txt", "b/z.txt"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).touch()
    (tmp_path / "link.png").symlink_to("a/x.png")
    job = PromptJob.parse({"prompt": "x", "images": ["link.png"], "files": ["b/y.txt", str(tmp_path / "b/z.txt")]})

    settings = with_file_roots(Settings(file_roots=("/mnt/shared",)), job)
    roots = ["/mnt/shared", f"{tmp_path}/a", f"{tmp_path}/b"]
    assert [str(root) for root in settings.file_roots] == roots
    assert json.loads(Local(settings, emulator=False).environment["THREADMILL_FILE_ROOTS"]) == roots
    for path in job.at(tmp_path).paths:
        assert locate(path, settings.file_roots).is_file()

    with pytest.raises(InvalidJob, match=r"gone\.txt: there is no such file"):
        with_file_roots(settings, PromptJob.parse({"prompt": "x", "files": ["nowhere/gone.txt"]}))
