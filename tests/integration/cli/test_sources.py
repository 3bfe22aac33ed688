"""`threadmill batch` over all that a document set can be made of."""

import json

import docx
import pyarrow
import pytest
from pyarrow import parquet

from threadmill_cli.local.services import free_port

pytestmark = pytest.mark.integration

LOCAL = ("--endpoint", "emulator", "--local")
QUICK = "[[run_s=0.1]]"
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"


def results(tmp_path) -> dict[str, dict[str, object]]:
    lines = (tmp_path / "results.jsonl").read_text("utf-8").splitlines()
    return {entry["name"]: entry for entry in map(json.loads, lines)}


def test_a_folder_of_many_kinds(run_cli, tmp_path):
    folder = tmp_path / "docs"
    folder.mkdir()
    document = docx.Document()
    document.add_paragraph("Out of Word.")
    document.save(folder / "a.docx")
    (folder / "b.html").write_text("<script>evil()</script><p>Out of a <b>page</b>.</p>")
    (folder / "c.txt").write_bytes("這是一份關於天氣的報告。今天早上台北下雨，下午轉晴。".encode("big5"))
    (folder / "d.png").write_bytes(PNG)
    (folder / "e.pdf").write_bytes(b"no PDF at all")
    done = run_cli("batch", "docs", "--prompt", f"{QUICK}About {{{{ name }}}}:\n{{{{ text }}}}", *LOCAL)

    lines = results(tmp_path)
    assert done.returncode == 1, done.stderr
    assert {name: entry["state"] for name, entry in lines.items()} == {
        "a.docx": "succeeded",
        "b.html": "succeeded",
        "c.txt": "succeeded",
        "d.png": "succeeded",
        "e.pdf": "failed",
    }
    assert "Out of Word." in lines["a.docx"]["text"]
    assert "Out of a **page**." in lines["b.html"]["text"]
    assert "今天早上台北下雨" in lines["c.txt"]["text"]
    assert "is broken, or not what its name says" in lines["e.pdf"]["failure"]["message"]


def test_files_go_along_in_place_of_their_text(run_cli, tmp_path):
    (tmp_path / "notes.txt").write_text("The notes.")
    done = run_cli("batch", "notes.txt", "--attach", "file_search", *LOCAL, "--json")
    assert done.returncode == 0, done.stderr
    assert "The notes." not in results(tmp_path)["notes.txt"]["text"]

    done = run_cli("batch", "notes.txt", "--attach", "file_search", "--prompt", "{{ text }}", *LOCAL)
    assert done.returncode == 2
    assert "'text' is undefined. It can use name, path" in done.stderr


def test_rows_of_a_parquet_file_and_of_stdin(run_cli, tmp_path):
    parquet.write_table(pyarrow.table({"what": ["Train"], "amount": [120]}), tmp_path / "a.parquet")
    ask = f"{QUICK}Is {{{{ amount }}}} too much for {{{{ what }}}}?"
    line = json.dumps({"what": "Hotel", "amount": 90})
    done = run_cli("batch", "a.parquet", "-", "--rows", "--prompt", ask, *LOCAL, stdin=line)
    assert done.returncode == 0, done.stderr
    lines = results(tmp_path)
    assert "Is 120 too much for Train?" in lines["a.parquet:1"]["text"]
    assert "Is 90 too much for Hotel?" in lines["stdin:1"]["text"]


def test_requests_made_for_the_batch_api(run_cli, tmp_path):
    requests = [
        {
            "custom_id": "one",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": "m", "n": 1, "messages": [{"role": "user", "content": f"{QUICK}First?"}]},
        },
        {"custom_id": "two", "method": "POST", "url": "/v1/responses", "body": {"input": f"{QUICK}Second?"}},
        {"custom_id": "bad", "method": "POST", "url": "/v1/responses", "body": {"input": "x", "seed": 1}},
    ]
    (tmp_path / "requests.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in requests))
    done = run_cli("batch", "requests.jsonl", "--requests", *LOCAL)

    assert done.returncode == 1, done.stderr
    by_id = {entry["custom_id"]: entry for entry in results(tmp_path).values()}
    assert "First?" in by_id["one"]["text"]
    assert "Second?" in by_id["two"]["text"]
    assert "has the unsupported field 'seed'" in by_id["bad"]["failure"]["message"]


def test_requests_name_their_own_model(run_cli, tmp_path):
    (tmp_path / "threadmill.toml").write_text(
        '[endpoints.local]\nkind = "responses"\nbase_url = "http://127.0.0.1:1"\n'
    )
    (tmp_path / "a.jsonl").write_text("{}")
    gone = f"redis://127.0.0.1:{free_port()}/0"
    plain = run_cli("batch", "a.jsonl", "--endpoint", "local", REDIS_URL=gone)
    assert "no model: name a model or a profile in the job" in plain.stderr
    done = run_cli("batch", "a.jsonl", "--requests", "--endpoint", "local", REDIS_URL=gone)
    assert f"Redis at {gone} does not answer" in done.stderr


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--rows", "--requests"], "--rows and --requests: use only one of them"),
        (["--attach", "web_search"], "--attach"),
        (["--encoding", "klingon"], "--encoding klingon: there is no such encoding"),
        (["--max-chars", "0"], "--max-chars"),
        (["--requests", "--prompt", "x"], "each request has its own prompt"),
    ],
)
def test_options_that_say_nothing_together_are_refused(run_cli, tmp_path, options, says):
    (tmp_path / "a.jsonl").write_text("{}")
    done = run_cli("batch", "a.jsonl", "--endpoint", "emulator", *options)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "results.jsonl").exists()
