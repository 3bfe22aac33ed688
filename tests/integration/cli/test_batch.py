"""`threadmill batch --local` in a process of its own, as someone at a desk would use it."""

import json
import signal
import subprocess

import pytest

pytestmark = pytest.mark.integration

LOCAL = ("--endpoint", "emulator", "--local")
QUICK = "[[run_s=0.1]]\nSummarise:\n{{ text }}"
ANSI = "\x1b["


@pytest.fixture
def docs(tmp_path):
    folder = tmp_path / "docs"
    folder.mkdir()
    for number in range(5):
        (folder / f"good-{number}.md").write_text(f"# Title {number}\n\nThe text of number {number}.\n")
    return folder


def results(tmp_path, name: str = "results.jsonl") -> dict[str, dict[str, object]]:
    """The lines by document."""
    entries = [json.loads(line) for line in (tmp_path / name).read_text("utf-8").splitlines()]
    assert len({entry["name"] for entry in entries}) == len(entries), "one line per document"
    return {entry["name"]: entry for entry in entries}


def test_bad_documents_have_their_reasons_and_stop_no_other(run_cli, docs, tmp_path):
    (docs / "dangling.md").symlink_to("gone.md")
    (docs / "empty.md").touch()
    (docs / "latin.md").write_bytes(b"caf\xe9")
    (docs / "huge.md").write_bytes(b"x" * 2_000_000)
    done = run_cli("batch", "docs", "--prompt", QUICK, *LOCAL)

    assert done.returncode == 1, done.stderr
    reasons = {
        "dangling.md": "cannot be read: No such file or directory",
        "empty.md": "is empty",
        "latin.md": "is not UTF-8 text",
        "huge.md": "has 2,000,000 bytes",
    }
    lines = results(tmp_path)
    assert len(lines) == 9
    for number in range(5):
        entry = lines[f"good-{number}.md"]
        assert (entry["state"], entry["path"]) == ("succeeded", f"docs/good-{number}.md")
        assert f"The text of number {number}." in entry["text"]
    for name, reason in reasons.items():
        assert (lines[name]["state"], lines[name]["failure"]["kind"]) == ("failed", "rejected")
        assert reason in lines[name]["failure"]["message"]
        assert f"failed: docs/{name}: rejected: {reason}" in done.stderr
    assert done.stdout == ""
    assert ANSI not in done.stderr
    assert "Traceback" not in done.stderr

    mended = {"empty.md": "now it has a text", "latin.md": "café"}
    for name, text in mended.items():
        (docs / name).write_text(text)
    again = run_cli("batch", "docs", "--prompt", QUICK, *LOCAL, "--json")

    assert again.returncode == 1
    printed = json.loads(again.stdout)
    assert (printed["total"], printed["succeeded"], printed["kept"], printed["failed"]) == (9, 7, 5, 2)
    for name, entry in results(tmp_path).items():
        if name.startswith("good"):
            assert entry == lines[name], "kept as it was, not asked again"
        else:
            assert (entry["state"] == "succeeded") is (name in mended)


def test_a_clean_batch_exits_with_0_and_says_so_to_programs(run_cli, docs, tmp_path):
    done = run_cli("batch", "docs", "--prompt", QUICK, "--out", "out/answers.jsonl", *LOCAL, "--json", NO_COLOR="1")

    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert (printed["total"], printed["succeeded"], printed["failed"], printed["failures"]) == (5, 5, 0, [])
    assert (printed["out"], printed["usage"]["total_tokens"] > 0, printed["calls"] >= 25) == (
        "out/answers.jsonl",
        True,
        True,
    )
    assert len(results(tmp_path, "out/answers.jsonl")) == 5
    assert ANSI not in done.stderr


def test_ctrl_c_says_how_to_go_on_and_the_same_command_does(cli_command, run_cli, docs, tmp_path, until):
    for number in range(5, 20):
        (docs / f"slow-{number}.md").write_text(f"The text of number {number}.")
    prompt = "[[run_s={{ 0.1 if name.startswith('good') else 2 }}]]\nSummarise:\n{{ text }}"
    command = ("batch", "docs", "--prompt", prompt, *LOCAL)
    out = tmp_path / "results.jsonl"
    with subprocess.Popen(cli_command(*command), cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        until(lambda: out.exists() and out.read_text("utf-8").count("\n") >= 5, patience_s=30)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    first = results(tmp_path)

    assert process.returncode == 130, said
    assert f"Stopped: {len(first)} of 20 documents are in results.jsonl, {20 - len(first)} are left." in said
    assert "Run the same command again to resume." in said
    assert "Traceback" not in said

    done = run_cli(*command, "--json")
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert (printed["total"], printed["succeeded"], printed["kept"]) == (20, 20, len(first))
    second = results(tmp_path)
    assert {name: second[name] for name in first} == first, "what was there is kept"
    assert len({entry["job_id"] for entry in second.values()}) == 20


def test_results_of_another_batch_are_not_overwritten(run_cli, docs, tmp_path):
    out = tmp_path / "results.jsonl"
    out.write_text("my own notes\n")
    refused = run_cli("batch", "docs", "--prompt", QUICK, *LOCAL)

    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "results.jsonl has other content (line 1)" in refused.stderr
    assert "--again" in refused.stderr
    assert out.read_text() == "my own notes\n"
    assert not (tmp_path / ".threadmill").exists(), "nothing was started"

    forced = run_cli("batch", "docs", "--prompt", QUICK, *LOCAL, "--again", "--yes")
    assert forced.returncode == 0, forced.stderr
    assert len(results(tmp_path)) == 5

    other = run_cli("batch", "docs", "--prompt", "Another prompt: {{ text }}", *LOCAL)
    assert other.returncode == 2, "the same file, another prompt"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["docs", "--prompt", "{{ txt }}"], "the prompt template: 'txt' is undefined. It can use text, name, path"),
        (["docs", "--prompt", "{{ text"], "the prompt template: "),
        (["nowhere"], "nowhere: no such file or folder"),
        (["docs", "--endpoint", "azure"], "there is no endpoint 'azure'"),
        (["docs", "--prompt-file", "nowhere.txt"], "nowhere.txt"),
        (["docs", "--out", "docs"], "docs"),
        (["docs", "--timeout-s", "0"], "--timeout-s"),
        ([], "PATH"),
    ],
)
def test_a_command_that_cannot_work_says_why_and_starts_nothing(run_cli, docs, tmp_path, arguments, says):
    done = run_cli("batch", "--endpoint", "emulator", "--local", *arguments)

    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert not (tmp_path / ".threadmill").exists()


def test_changing_a_shared_file_asks_all_documents_again(run_cli, docs, tmp_path):
    policy = tmp_path / "policy.txt"
    policy.write_text("All is covered.")
    command = ("batch", "docs", "--prompt", QUICK, "--file", "policy.txt", *LOCAL, "--json")

    assert json.loads(run_cli(*command).stdout)["succeeded"] == 5
    assert json.loads(run_cli(*command).stdout)["kept"] == 5
    policy.write_text("Nothing is covered.")
    again = json.loads(run_cli(*command).stdout)
    assert (again["kept"], again["succeeded"]) == (0, 5)


def test_each_row_of_a_table_is_asked_about_and_known_again(run_cli, tmp_path):
    table = tmp_path / "claims.csv"
    table.write_text("what,amount\nTrain,120\nHotel,90\nbroken\n")
    ask = ("batch", "claims.csv", "--rows", "--prompt", "[[run_s=0.1]]Is {{ amount }} too much for {{ what }}?", *LOCAL)

    first = run_cli(*ask)

    assert first.returncode == 1, first.stderr
    lines = results(tmp_path)
    assert "Is 120 too much for Train?" in lines["claims.csv:2"]["text"]
    assert (lines["claims.csv:3"]["row"], lines["claims.csv:3"]["state"]) == (3, "succeeded")
    assert lines["claims.csv:4"]["failure"]["message"] == "has 1 columns, the first line 2"
    assert "failed: claims.csv:4: rejected: has 1 columns" in first.stderr

    table.write_text("what,amount\nTaxi,30\nTrain,120\nHotel,95\n")
    second = run_cli(*ask, "--json")

    assert second.returncode == 0, second.stderr
    summary = json.loads(second.stdout)
    assert (summary["total"], summary["kept"], summary["succeeded"]) == (3, 1, 3)
