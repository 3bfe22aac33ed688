"""The results file: it keeps answers, survives interruptions and does not overwrite other files."""

import json

import pytest

from threadmill.batch.results import ResultsFile, read_lines
from threadmill.errors import ThreadmillError


def entry(key: str, state: str = "succeeded", batch: str = "b") -> dict[str, str]:
    return {"path": f"{key}.md", "key": key, "state": state, "batch": batch, "job_id": f"job-{key}", "text": "天空"}


def lines(path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text("utf-8").split("\n")[:-1]]


@pytest.fixture
def out(tmp_path):
    return tmp_path / "new" / "results.jsonl"


def test_lines_are_readable_as_they_are_written(out):
    with ResultsFile(out, "b") as results:
        results.write(entry("1"))
        assert lines(out) == [entry("1")]
        assert "天空" in out.read_text("utf-8")


def test_the_later_line_of_a_document_replaces_the_earlier(out):
    with ResultsFile(out, "b") as results:
        for line in (entry("1"), entry("2", "failed"), entry("3")):
            results.write(line)
    with ResultsFile(out, "b") as results:
        states = {key: earlier.state for key, earlier in results.previous.items()}
        assert states == {"1": "succeeded", "2": "failed", "3": "succeeded"}
        results.write(entry("2"))
        assert lines(out)[1] == entry("2", "failed"), "nothing is dropped before there is more"
    assert lines(out) == [entry("1"), entry("3"), entry("2")]


def test_previous_failures_are_read(out):
    failure = {"kind": "stuck", "message": "it hangs", "code": None, "retryable": True}
    with ResultsFile(out, "b") as results:
        results.write(entry("1", "failed") | {"failure": failure})
    with ResultsFile(out, "b") as results:
        assert (results.previous["1"].failure, results.previous["1"].retryable) == ("stuck", True)


def test_after_a_kill_the_next_run_keeps_the_later_line(out):
    with ResultsFile(out, "b") as results:
        results.write(entry("1", "failed"))
        results.write(entry("1"))
        assert len(lines(out)) == 2
        with ResultsFile(out, "b"):
            assert lines(out) == [entry("1")]


def test_a_changed_document_is_recognised_by_its_path(out):
    with ResultsFile(out, "b") as results:
        results.write(entry("1"))
    with ResultsFile(out, "b") as results:
        assert results.has_line({"path": "1.md"})
        assert not results.has_line({"path": "2.md"})
        results.write(entry("1") | {"key": "1, changed"})
    assert [line["key"] for line in lines(out)] == ["1, changed"]


def test_rows_of_one_file_are_distinguished(out):
    rows = [entry("t") | {"key": str(number), "row": number, "id": str(number)} for number in range(3)]
    for _ in range(2):
        with ResultsFile(out, "b") as results:
            for row in rows:
                results.write(row)
    assert lines(out) == rows


def test_closing_can_sort_lines_like_the_documents(out):
    with ResultsFile(out, "b", ordered=True) as results:
        for number, key in enumerate(["1", "2", "3"]):
            results.set_position({"path": f"{key}.md"}, number)
        for key in ("3", "1", "2"):
            results.write(entry(key))
    assert [line["key"] for line in lines(out)] == ["1", "2", "3"]


@pytest.mark.parametrize("torn", [b'{"pa', b'{"path": "2.md", "sta', b'{"path": "\xe5\xa4', b""])
def test_a_line_cut_off_by_a_kill_is_dropped(out, torn):
    with ResultsFile(out, "b") as results:
        results.write(entry("1"))
    with out.open("ab") as file:
        file.write(torn)
    assert list(read_lines(out)) == [entry("1")]
    with ResultsFile(out, "b") as results:
        assert set(results.previous) == {"1"}
    assert lines(out) == [entry("1")]


def test_any_character_is_preserved(out):
    odd = entry("1") | {"text": "a\u2028b\u2029c\x85d\x0be\nf\rg"}
    with ResultsFile(out, "b") as results:
        results.write(odd)
    with ResultsFile(out, "b") as results:
        assert set(results.previous) == {"1"}
    assert lines(out) == [odd]


def test_a_refused_document_is_asked_about_again(out):
    with ResultsFile(out, "b") as results:
        results.write({"path": "x", "key": None, "state": "failed", "batch": "b"})
    with ResultsFile(out, "b") as results:
        assert not results.previous


@pytest.mark.parametrize(
    "content",
    [
        b"my notes\nand more\n",
        json.dumps(entry("1", batch="other")).encode() + b"\n",
        b'{"a": 1}\n{"b": 2}\n',
        b"[1, 2]\n[3]\n",
        json.dumps(entry("1")).encode() + b"\nnot json\n",
        b"my only note",
        b"[1]",
        b"\x89PNG\r\n\xff\xfe",
    ],
)
def test_a_file_with_other_content_is_not_changed(out, content):
    out.parent.mkdir()
    out.write_bytes(content)
    with pytest.raises(ThreadmillError, match=r"has other content \(line \d\).*--again to overwrite"):
        ResultsFile(out, "b")
    assert out.read_bytes() == content
    assert list(out.parent.iterdir()) == [out]


def test_force_empties_the_file(out):
    out.parent.mkdir()
    out.write_text("my notes\nand more\n")
    with ResultsFile(out, "b", force=True) as results:
        assert not results.previous
    assert out.read_text() == ""


def test_an_empty_file_is_accepted(out):
    out.parent.mkdir()
    out.touch()
    with ResultsFile(out, "b") as results:
        assert not results.previous


def test_a_path_that_cannot_be_written_is_reported(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ThreadmillError, match="file"):
        ResultsFile(tmp_path / "file" / "results.jsonl", "b")
    with pytest.raises(ThreadmillError):
        ResultsFile(tmp_path, "b")
