"""What commands may overwrite: never an input, and what threadmill did not write only when confirmed."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import threadmill_cli  # noqa: F401  # adds the commands to the app
from threadmill.batch.results import ResultsFile
from threadmill.documents.find import find
from threadmill.export.export import Format, export
from threadmill.export.ownership import is_own
from threadmill_cli.app import Exit, app
from threadmill_cli.commands.batch.document_options import without
from threadmill_cli.commands.batch.overwriting import confirm_overwriting
from threadmill_cli.rendering import confirm

ENTRY = {
    "path": "a.md",
    "name": "a.md",
    "key": "k",
    "state": "succeeded",
    "batch": "b",
    "job_id": "j",
    "text": "It is.",
    "failure": None,
}
REFUSED = {**ENTRY, "path": "b.md", "state": "failed", "key": None, "failure": {"kind": "rejected", "message": "-"}}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def results(folder):
    with ResultsFile(Path("results.jsonl"), "b") as file:
        file.write(ENTRY)
        file.write(REFUSED)
    return file.path


def batch(*arguments):
    options = ["--endpoint", "emulator", "--prompt", "{{ what }}", "--rows"]
    return CliRunner().invoke(app, ["batch", *map(str, arguments), *options])


def claims(path="claims.csv"):
    Path(path).write_text("what,amount\nTrain,120\n")
    return Path(path)


@pytest.mark.parametrize("out", ["claims.csv", "./claims.csv", "link.csv"])
def test_an_input_is_never_overwritten(folder, out):
    file = claims()
    Path("link.csv").symlink_to(file)
    refused = batch("claims.csv", "--out", out, "--again", "--yes")
    assert refused.exit_code == Exit.USAGE
    assert "is an input of this command and is never overwritten" in refused.stderr
    assert file.read_text().startswith("what,amount")


def test_another_form_of_the_results_does_not_replace_an_input(folder):
    claims()
    refused = batch("claims.csv", "--out", "claims.jsonl", "--format", "csv", "--yes")
    assert "claims.csv is an input of this command" in refused.stderr


@pytest.mark.parametrize("options", [["--out", "x.parquet", "--again"], ["--out", "x.jsonl", "--format", "csv"]])
def test_off_a_terminal_a_foreign_file_needs_yes(folder, options):
    claims()
    foreign = [Path("x.parquet"), Path("x.csv")]
    for file in foreign:
        file.write_bytes(b"mine")
    refused = batch("claims.csv", *options)
    assert refused.exit_code == Exit.USAGE
    assert "not recognised as written by threadmill. Overwrite? Nothing was changed: pass --yes" in refused.stderr
    assert {file.read_bytes() for file in foreign} == {b"mine"}


def test_export_too(folder, results):
    foreign = claims()
    refused = CliRunner().invoke(app, ["batch", "export", str(results), "--out", "claims.csv", "--force"])
    assert "pass --yes" in refused.stderr
    assert foreign.read_text().startswith("what,amount")
    done = CliRunner().invoke(app, ["batch", "export", str(results), "--out", "claims.csv", "--force", "--yes"])
    assert done.exit_code == 0
    assert foreign.read_text().startswith("path,name")


@pytest.mark.parametrize("answer", [True, False])
def test_at_a_terminal_it_asks(folder, monkeypatch, answer):
    asked = []

    class Terminal:
        def isatty(self):
            return True

    def ask(text, *, abort, err):
        asked.append(text)
        if not answer:
            raise typer.Abort

    monkeypatch.setattr(confirm.sys, "stdin", Terminal())
    monkeypatch.setattr(confirm.typer, "confirm", ask)
    if answer:
        confirm_overwriting([claims()], Path("results.jsonl"), yes=False)
    else:
        with pytest.raises(typer.Abort):
            confirm_overwriting([claims()], Path("results.jsonl"), yes=False)
    assert len(asked) == 1
    assert "claims.csv" in asked[0]


@pytest.mark.parametrize("format", [each for each in Format if each is not Format.TEMPLATE])
def test_what_threadmill_wrote_is_recognised(results, format):
    out = Path(f"out{format.suffix}")
    export(results, format, out)
    assert is_own(out, results)
    assert is_own(results, results)
    if format is Format.OPENAI_BATCH:
        assert is_own(Path("out.openai.errors.jsonl"), results)
    confirm_overwriting([out, results], results, yes=False)


@pytest.mark.parametrize(
    "content",
    [
        b"my notes\n",
        b"path,amount\na,1\n",
        b"PAR1 is no Parquet",
        b"\x89PNG\r\n",
        b'{"path": "a", "n": 1}\n',
        b"{broken\n",
        json.dumps({"id": "batch_req_1", "custom_id": "a", "response": {"request_id": "2"}, "error": None}).encode(),
    ],
)
def test_anything_else_is_not(folder, content):
    Path("x").write_bytes(content)
    assert not is_own(Path("x"), Path("results.jsonl"))


def test_results_in_the_folder_of_the_documents_are_not_read(results):
    Path("a.md").write_text("A text.")
    documents = without(find(["."]), [results])
    assert [document.name for document in documents] == ["a.md"]
