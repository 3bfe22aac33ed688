"""Exports of results: each document once, values unchanged, existing files kept."""

import csv
import io
import json
import sys
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from openai.types.chat import ChatCompletion
from pyarrow import parquet
from typer.testing import CliRunner

from threadmill.answers import answer_markdown
from threadmill.errors import ThreadmillError
from threadmill.export.export import Format, FormatOptions, export, format_of
from threadmill.export.formats.csv import write as write_csv
from threadmill.export.formats.table import Table, build_table, flatten
from threadmill.export.formats.template import Template
from threadmill.export.results_reader import ResultOrder, ResultsReader, StateFilter
from threadmill_cli.app import app

USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
TIMINGS = {
    "created_at": "2026-11-20T01:00:00Z",
    "started_at": "2026-11-20T01:00:01Z",
    "finished_at": "2026-11-20T01:00:03.500000Z",
}


def answer(path="a.md", text="It is.", **fields):
    place = {"path": path, "name": Path(path).name, **{n: fields.pop(n) for n in ("row", "id") if n in fields}}
    result = {"job_id": f"job-{path}", "text": text, "parsed": None, "citations": [], "usage": USAGE}
    return {**place, "key": "k", "state": "succeeded", **result, "failure": None, "timings": TIMINGS, **fields}


def refused(path="bad.md", message="is empty"):
    failure = {"kind": "rejected", "message": message, "code": None, "retryable": False}
    return {"path": path, "name": path, "key": None, "state": "failed", "text": "", "failure": failure, "batch": "b"}


@pytest.fixture
def results(tmp_path):
    def write(*entries, torn=""):
        path = tmp_path / "results.jsonl"
        path.write_text("".join(json.dumps(entry) + "\n" for entry in entries) + torn, "utf-8")
        return path

    return write


def exported(results, format, *, only=None, force=False, **options):
    out = results.parent / f"out{Format(format).suffix}"
    export(results, Format(format), out, FormatOptions(**options), only=only, force=force)
    return out


def cells(path, delimiter=","):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


class TestOutcomes:
    def test_the_later_line_of_a_document_counts(self, results):
        path = results(refused("a.md"), answer("b.md"), answer("a.md", "at last"))
        assert [each["text"] for each in ResultsReader(path)] == ["It is.", "at last"]
        assert list(ResultsReader(path, StateFilter.FAILED)) == []

    def test_each_row_of_a_table_is_a_document(self, results):
        path = results(*(answer("t.csv", row=2, id=each) for each in ("x", "y", "x")))
        assert [each["id"] for each in ResultsReader(path)] == ["y", "x"]

    @pytest.mark.parametrize("torn", ['{"path": "c', '{"path": "c.md", "state": "succ', "", "\n", "{"])
    def test_a_line_cut_off_at_the_end_is_left_out(self, results, torn):
        assert len(ResultsReader(results(answer(), torn=torn))) == 1

    def test_a_complete_last_line_without_line_end_counts(self, results):
        assert len(ResultsReader(results(answer(), torn=json.dumps(refused())))) == 2

    def test_a_file_that_is_not_a_results_file_is_refused(self, results, tmp_path):
        for wrong in ("my notes\n", '{"a": 1}\n', "[1]\n"):
            with pytest.raises(ThreadmillError, match="line 2 is not a result"):
                ResultsReader(results(answer(), torn=wrong))
        with pytest.raises(ThreadmillError, match="cannot be read: No such file"):
            ResultsReader(tmp_path / "none.jsonl")

    def test_numbers_in_paths_are_sorted_by_value(self, results):
        paths = ["n/10.md", "n/9.md", "a.md", "n/09b.md", "n/1.md", "n/123456789012345678901234.md"]
        path = results(*(answer(each) for each in paths), *(answer("t.csv", id=f"h{n}", row=n) for n in (10, 9, 100)))
        shown = [each.get("id", each["path"]) for each in ResultsReader(path, order=ResultOrder.PATH)]
        numbered = ["n/1.md", "n/9.md", "n/09b.md", "n/10.md", "n/123456789012345678901234.md"]
        assert shown == ["a.md", *numbered, "h9", "h10", "h100"]

    def test_a_batch_restarted_during_an_export_is_noticed(self, results):
        reader = ResultsReader(results(answer("a.md"), answer("b.md")))
        fresh = reader.path.with_name("fresh")
        fresh.write_text("")
        fresh.replace(reader.path)
        with pytest.raises(ThreadmillError, match="was replaced while it was read"):
            list(reader)

    def test_lines_appended_during_an_export_are_left_out(self, results):
        path = results(answer())
        reader = ResultsReader(path)
        with path.open("a") as file:
            file.write(json.dumps(answer("b.md")) + "\n")
        assert len(list(reader)) == 1


class TestTable:
    def test_structured_answers_become_columns(self, results):
        path = results(
            answer("a", parsed={"amount": -5, "who": {"name": "Li", "tags": ["x", 1]}}),
            answer("b", parsed={"why": None, "amount": 1.5, "ok": True}),
            answer("c", parsed=[1, 2]),
            refused("d"),
        )
        a, b, c, d = cells(exported(path, "csv"))
        assert (a["answer.amount"], a["answer.who.name"], a["answer.who.tags"]) == ("-5", "Li", '["x", 1]')
        assert (b["answer.amount"], b["answer.ok"], b["answer.who.name"]) == ("1.5", "true", "")
        assert c["answer"] == "[1, 2]"
        assert (d["state"], d["failure.kind"], d["failure.message"]) == ("failed", "rejected", "is empty")
        assert (a["seconds"], a["usage.total_tokens"], d["seconds"]) == ("2.5", "15", "")
        assert list(a)[-5:] == ["answer.amount", "answer.who.name", "answer.who.tags", "answer.ok", "answer"]

    def test_column_names_are_unique(self):
        parsed = {"a": {"b": 1}, "a.b": 2, 'a["b': 3, "": 4, "e": {}}
        found = flatten(answer(parsed=parsed))
        named = {name: value for name, value in found.items() if name.startswith("answer")}
        assert list(named.values()) == [1, 2, 3, 4, {}]
        assert list(named)[:2] == ["answer.a.b", 'answer["a.b"]']

    def test_unreported_tokens_are_not_zero(self):
        unseen = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0, "unreported": 2}
        columns = flatten(answer(usage=unseen))
        assert columns["usage.unreported"] == 2
        assert "usage.total_tokens" not in columns

    def test_fields_choose_columns_and_their_order(self, results):
        path = results(answer(parsed={"amount": 5, "why": "x"}), refused())
        (first, _) = cells(exported(path, "csv", fields=("answer", "path")))
        assert list(first) == ["answer.amount", "answer.why", "path"]
        lines = exported(path, "jsonl", fields=("path", "usage.total_tokens")).read_text().splitlines()
        assert json.loads(lines[0]) == {"path": "a.md", "usage.total_tokens": 15}
        with pytest.raises(ThreadmillError, match=r"there is no 'amount'; there are path, .*answer\.amount"):
            exported(path, "tsv", fields=("amount",))

    def test_details_of_runs_are_exported_on_request(self, results):
        path = results(answer(content=[{"type": "text"}], steps=[], lost_runs=1, metadata={"case": "7"}))
        assert {"content", "steps", "lost_runs"}.isdisjoint(cells(exported(path, "csv"))[0])
        shown = exported(path, "csv", fields=("content", "lost_runs", "metadata"), force=True)
        assert cells(shown) == [{"content": '[{"type": "text"}]', "lost_runs": "1", "metadata.case": "7"}]

    def test_a_batch_without_answers_has_the_same_columns(self, results):
        good = list(cells(exported(results(answer(parsed={"n": 1})), "csv", fields=("path", "state", "answer.n")))[0])
        path = results(refused())
        assert list(cells(exported(path, "csv", fields=("path", "state", "answer.n"), force=True))[0]) == good
        assert build_table(ResultsReader(results(answer())), ()).columns == build_table(ResultsReader(path), ()).columns

    def test_answers_whose_keys_are_data_are_reported(self, results):
        path = results(*(answer(f"{n}", parsed={f"k{n}-{i}": i for i in range(100)}) for n in range(30)))
        with pytest.raises(ThreadmillError, match=r"more than 2,000 different keys.*--fields, or use --format jsonl"):
            exported(path, "csv")
        assert exported(path, "csv", fields=("path", "answer.k1-1")).exists()


class TestCsv:
    @given(st.lists(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=2, max_size=2), max_size=5))
    def test_any_text_survives_the_round_trip(self, rows):
        class Given(Table):
            def rows(self):
                return iter(rows)

        for delimiter in ",\t":
            file = io.StringIO(newline="")
            write_csv(Given(None, ["a", "b"]), file, delimiter=delimiter, raw_cells=True)
            file.seek(0)
            assert list(csv.reader(file, delimiter=delimiter)) == [["a", "b"], *rows]

    def test_formulas_are_disarmed_and_numbers_unchanged(self, results):
        texts = ["=1+1", "+cmd", "-x", "@SUM(1)", "\tx", "\r=x", "＝1", "-5", "+3,5", "-1.5e3", "plain", "a=b"]
        path = results(*(answer(f"{n}", text, parsed={"n": -5}) for n, text in enumerate(texts)))
        raw = exported(path, "csv", bom=True).read_bytes()
        assert raw.startswith(b"\xef\xbb\xbf")
        shown = list(csv.DictReader(io.StringIO(raw.decode("utf-8-sig"), newline="")))
        assert [row["text"] for row in shown] == [f"'{text}" for text in texts[:7]] + texts[7:]
        assert {row["answer.n"] for row in shown} == {"-5"}

    def test_raw_cells_are_unchanged(self, results):
        path = results(answer(text="=1+1\nzwei\r\n天空"))
        assert cells(exported(path, "tsv", raw_cells=True), "\t")[0]["text"] == "=1+1\nzwei\r\n天空"
        assert not exported(path, "csv").read_bytes().startswith(b"\xef\xbb\xbf")


class TestParquet:
    def test_columns_have_types(self, results):
        path = results(
            answer("t.csv", row=2, id="x", parsed={"n": 1, "mixed": 1, "s": "x", "l": [1], "f": 1, "big": 2**70}),
            answer("t.csv", row=3, id="y", parsed={"n": 2, "mixed": "one", "b": True, "f": 0.5}),
            refused(),
        )
        read = parquet.read_table(exported(path, "parquet"))
        types = {field.name: str(field.type) for field in read.schema}
        expected = {"row": "int64", "seconds": "double", "timings.finished_at": "timestamp[us, tz=UTC]"}
        expected |= {"failure.retryable": "bool", "answer.n": "int64", "answer.f": "double", "answer.b": "bool"}
        expected |= dict.fromkeys(("text", "answer.mixed", "answer.s", "answer.l", "answer.big", "model"), "string")
        assert expected.items() <= types.items()
        first, second, third = read.to_pylist()
        assert first["timings.finished_at"] == datetime(2026, 11, 20, 1, 0, 3, 500000, UTC)
        assert (first["answer.mixed"], second["answer.mixed"], third["answer.mixed"]) == ("1", '"one"', None)
        assert (first["answer.s"], first["answer.l"], first["answer.big"]) == ("x", "[1]", str(2**70))
        assert (third["row"], third["failure.kind"]) == (None, "rejected")

    def test_row_groups_are_limited_by_size(self, results):
        path = results(*(answer(f"{n}.md", "x" * 3_000_000) for n in range(5)))
        assert parquet.ParquetFile(exported(path, "parquet")).num_row_groups == 2

    def test_a_table_can_be_empty(self, results):
        read = parquet.read_table(exported(results(), "parquet"))
        assert (read.num_rows, str(read.schema.field("usage.total_tokens").type)) == (0, "int64")

    def test_surrogates_are_replaced(self, results):
        path = results(answer(text="a\ud800b", parsed={"\ud800": ["\ud800"]}))
        assert parquet.read_table(exported(path, "parquet"))["text"].to_pylist() == ["a\ufffdb"]
        for format in ("csv", "markdown", "jsonl", "openai-batch"):
            assert exported(path, format).stat().st_size

    def test_a_missing_extra_is_named_with_the_remedy(self, results, monkeypatch):
        monkeypatch.delitem(sys.modules, "threadmill.export.formats.parquet", raising=False)
        monkeypatch.delattr("threadmill.export.formats.parquet", raising=False)
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        with pytest.raises(ThreadmillError, match=r"pip install .*\[parquet\]'"):
            exported(results(answer()), "parquet")


def headings(markdown):
    tokens = MarkdownIt("commonmark").parse(markdown)
    return [(int(a.tag[1]), b.content) for a, b in pairwise(tokens) if a.type == "heading_open"]


class TestMarkdown:
    def test_a_section_per_answer_and_the_failures_at_the_end(self, results):
        source = {"number": 1, "name": "law_1.pdf", "url": None, "quote": "It\nis  so."}
        page = {"number": 2, "name": "A page", "url": "https://example.org/a"}
        path = results(refused("bad*.md", "is\nempty"), answer("a_b.md", "Yes [1][2].", citations=[source, page]))
        assert exported(path, "markdown").read_text("utf-8") == (
            "# results\n\n## a\\_b.md\n\nYes [1][2].\n\nSources:\n\n"
            "- \\[1\\] law\\_1.pdf: “It is so.”\n- \\[2\\] A page: <https://example.org/a>\n"
            "\n## Failed\n\n- **bad\\*.md**: rejected: is empty\n"
        )

    def test_a_structured_answer_is_shown_as_json(self, results):
        shown = exported(results(answer(parsed={"n": "```"})), "markdown").read_text()
        assert '```json\n{\n  "n": "```"\n}\n```' in shown

    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("# A\n## B", [(3, "A"), (4, "B")]),
            ("### A\n# B", [(5, "A"), (3, "B")]),
            ("A\n===\n\nB\nb\n---\nc", [(3, "A"), (4, "B b")]),
            ("```\n# no heading\n```\n# A", [(3, "A")]),
            ("> # A", [(3, "A")]),
            ("1. # A", [(3, "A")]),
            ("# A\n```sh\n# open", [(3, "A")]),
            ("~~~~\nx\n~~~", []),
            ("```", []),
            ("<!-- open", []),
            ("<script>\n# A", [(3, "A")]),
            ("<details>\n\nx <b>y", []),
            ("- ```\n  # x", []),
            ("", []),
        ],
    )
    def test_an_answer_stays_within_its_section(self, text, shown):
        assert headings(f"## one\n\n{answer_markdown(text, 2)}\n\n## two") == [(2, "one"), *shown, (2, "two")]

    @given(st.text("#=-`~<!>[]() ab1.\n\t\r&*_", max_size=60))
    def test_any_answer_stays_within_its_section(self, text):
        levels = headings(f"## one\n\n{answer_markdown(text, 2)}\n\n## two")
        assert (levels[0], levels[-1]) == ((2, "one"), (2, "two"))
        assert all(level > 2 for level, _ in levels[1:-1])


class TestOpenAIBatch:
    def test_answers_in_the_output_file_failures_in_the_error_file(self, results):
        path = results(answer("r.jsonl", custom_id="q-1", model="m-1"), refused(), answer("t.csv", row=2, id="x"))
        out = exported(path, "openai-batch")
        first, second = map(json.loads, out.read_text().splitlines())
        assert first.keys() == {"id", "custom_id", "response", "error"}
        assert (first["custom_id"], first["response"]["status_code"], first["error"]) == ("q-1", 200, None)
        body = ChatCompletion.model_validate(first["response"]["body"])
        assert (body.choices[0].message.content, body.model, body.usage.total_tokens) == ("It is.", "m-1", 15)
        assert body.created == 1795136403
        assert second["custom_id"] == "t.csv#x"
        (failed,) = map(json.loads, (path.parent / "out.openai.errors.jsonl").read_text().splitlines())
        assert (failed["custom_id"], failed["response"]) == ("bad.md", None)
        assert failed["error"] == {"code": "rejected", "message": "is empty"}

    def test_only_writes_one_file(self, results):
        out = exported(results(answer(), refused()), "openai-batch", only=StateFilter.FAILED)
        assert json.loads(out.read_text())["error"]["code"] == "rejected"
        assert not (out.parent / "out.openai.errors.jsonl").exists()


class TestTemplate:
    def test_documents_are_rendered_in_order(self, results):
        path = results(answer(parsed={"n": 1}), refused())
        template = Template("{{ name }}: {{ answer.n if answer else failure.message }} ({{ usage.total_tokens }})\n")
        assert exported(path, "template", template=template).read_text() == "a.md: 1 (15)\nbad.md: is empty (0)\n"

    @pytest.mark.parametrize(
        "source", ["{{ nothing }}", "{{ failure.kind }}", "{{ ''.__class__.__mro__ }}", "{{ 1/0 }}"]
    )
    def test_a_template_error_names_the_document_and_leaves_no_file(self, results, source):
        path = results(answer("x/a.md"))
        with pytest.raises(ThreadmillError, match=r"fails for x/a\.md: .*It can use .*path"):
            exported(path, "template", template=Template(source))
        assert list(path.parent.iterdir()) == [path]

    def test_values_are_escaped_in_markup(self, results):
        template = Template("<p>{{ text }}", ".html")
        shown = exported(results(answer(text="<script>")), "template", template=template).read_text()
        assert shown == "<p>&lt;script&gt;"

    def test_each_document_has_its_own_file_within_the_folder(self, results):
        paths = ["q1.md", "a/x.md", "b/X.md", "../../etc/passwd", "c/..", "con", "s p*?.md", "天" * 200, "d/.hidden"]
        path = results(*(answer(each) for each in paths), answer("t.csv", row=2, id="x", name="t.csv:2"))
        out = path.parent / "letters"
        options = FormatOptions(template=Template("{{ path }}", ".html"), folder=True)
        export(path, Format.TEMPLATE, out, options)
        written = {file.name: file.read_text("utf-8") for file in out.iterdir()}
        assert sorted(written.values()) == sorted([*paths, "t.csv"])
        assert {"q1.md.html", "passwd.html", "_con.html", "s_p_.md.html"} <= written.keys()
        assert {"t.csv_2.html", "hidden.html"} <= written.keys()
        assert sum(name.casefold().startswith("x.md-") for name in written) == 2
        with pytest.raises(ThreadmillError, match="is not empty"):
            export(path, Format.TEMPLATE, out, options)
        (out / "q1.md.html").write_text("old")
        export(path, Format.TEMPLATE, out, options, force=True)
        assert (out / "q1.md.html").read_text() == "q1.md"


class TestOut:
    def test_existing_files_are_kept_and_results_never_overwritten(self, results):
        path = results(answer())
        out = exported(path, "csv")
        before = out.read_bytes()
        with pytest.raises(ThreadmillError, match=r"out\.csv exists.*--force"):
            exported(path, "csv", fields=("path",))
        assert out.read_bytes() == before
        exported(path, "csv", fields=("path",), force=True)
        assert out.read_text() == "path\n" + "a.md\n"
        with pytest.raises(ThreadmillError, match="is the results file"):
            export(path, Format.JSONL, path, force=True)
        assert sorted(path.parent.iterdir()) == [out, path]

    def test_jsonl_lines_are_unchanged(self, results):
        path = results(refused("a.md"), answer("a.md", "天空"))
        line = json.dumps(answer("a.md", "天空"), ensure_ascii=False)
        assert exported(path, "jsonl").read_text("utf-8") == line + "\n"

    def test_the_suffix_determines_the_format(self):
        found = [format_of(Path(f"x.{suffix}")) for suffix in ("csv", "TSV", "parquet", "md", "jsonl")]
        assert found == [Format.CSV, Format.TSV, Format.PARQUET, Format.MARKDOWN, Format.JSONL]
        with pytest.raises(ThreadmillError, match=r"-: its suffix is not \.csv, .*say --format csv"):
            format_of(Path("-"))

    @pytest.mark.parametrize(
        ("format", "options", "reason"),
        [
            ("markdown", {"fields": ("path",)}, "markdown has none"),
            ("csv", {"folder": True}, "is a folder"),
            ("jsonl", {"raw_cells": True}, "for csv and tsv"),
            ("markdown", {"bom": True}, "for csv and tsv"),
            ("template", {}, "needs --template or --template-file"),
            ("csv", {"template": Template("x")}, "these need --format template"),
        ],
    )
    def test_options_that_exclude_each_other_are_refused(self, results, format, options, reason):
        with pytest.raises(ThreadmillError, match=reason):
            exported(results(answer()), format, **options)


class TestCommand:
    def run(self, *arguments):
        return CliRunner().invoke(app, ["batch", "export", *map(str, arguments)])

    def test_to_a_file(self, results, tmp_path):
        path = results(answer(parsed={"n": 1}), refused())
        shown = self.run(path, "--out", tmp_path / "x.csv", "--fields", "path, answer.n", "--only", "succeeded")
        assert (shown.exit_code, shown.stdout) == (0, "")
        assert f"1 document written to {tmp_path}/x.csv" in shown.stderr
        assert cells(tmp_path / "x.csv") == [{"path": "a.md", "answer.n": "1"}]

    def test_to_stdout(self, results):
        shown = self.run(results(answer()), "--out", "-", "--template", r"{{ path }}\n")
        assert (shown.exit_code, shown.stdout, shown.stderr) == (0, "a.md\n", "")

    def test_to_a_folder_by_a_template_file(self, results, tmp_path):
        (tmp_path / "letter.html.j2").write_text("<p>{{ text }}")
        path = results(answer(text="a & b"))
        shown = self.run(path, "--out", f"{tmp_path}/letters/", "--template-file", tmp_path / "letter.html.j2")
        assert shown.exit_code == 0
        assert (tmp_path / "letters" / "a.md.html").read_text() == "<p>a &amp; b"
