"""Tables as document sets: rows, their ids, and which are refused."""

import datetime
import sys
from decimal import Decimal
from itertools import islice

import docx
import openpyxl
import pyarrow
import pytest
from pyarrow import parquet

from threadmill.documents.errors import BadDocument
from threadmill.documents.readers import lines
from threadmill.documents.rows import RowDocuments
from threadmill.documents.template import PromptTemplate
from threadmill.errors import ThreadmillError


@pytest.fixture
def table(tmp_path):
    def write(name: str, content: str | bytes):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", 'what,amount\n"Train, first class",120\nHotel,90\n'),
        ("a.csv", '\ufeffwhat;amount\r\n"Train, first class";120\r\n\r\nHotel;90\r\n'),
        ("a.tsv", "what\tamount\nTrain, first class\t120\nHotel\t90\n"),
        ("a.jsonl", '{"what": "Train, first class", "amount": "120"}\n\n{"what": "Hotel", "amount": "90"}'),
    ],
)
def test_each_row_is_a_document_with_its_columns_as_variables(table, name, content):
    rows = RowDocuments([table(name, content)])
    template = PromptTemplate("Is {{ amount }} too much for {{ what }}?", next(iter(rows)).variables())

    prompts = [template.render(row.variables()) for row in rows]

    assert prompts == ["Is 120 too much for Train, first class?", "Is 90 too much for Hotel?"]
    assert len(rows) == 2


def test_a_row_can_be_used_as_text_and_by_column_name(table):
    [row] = RowDocuments([table("a.jsonl", '{"Unit price": 3, "tags": ["a", "b"]}')])
    assert row.variables()["text"] == 'Unit price: 3\ntags: ["a", "b"]'
    assert PromptTemplate('{{ row["Unit price"] }}', row.variables()).render(row.variables()) == "3"


def test_a_column_may_have_the_name_of_a_template_variable(table):
    [row] = RowDocuments([table("a.csv", "text,name\nHello,Ann\n")])
    assert (row.variables()["text"], row.variables()["name"]) == ("Hello", "Ann")


def test_a_row_can_span_lines_and_has_the_number_of_its_last(table):
    first, second = RowDocuments([table("a.csv", 'what\n"two\nlines"\none\n')])
    assert (first.fields["what"], first.number, second.number) == ("two\nlines", 3, 4)
    assert second.label.endswith("a.csv:4")


def test_a_row_is_identified_by_its_content(table):
    before = [row.identity for row in RowDocuments([table("a.csv", "n\n1\n2\n2\n")])]
    after = [row.identity for row in RowDocuments([table("a.csv", "n\n0\n2\n1\n2\n")])]
    assert len(set(before)) == 3
    assert set(before) < set(after)


def test_a_row_can_be_identified_by_a_column(table):
    first, second, third = RowDocuments([table("a.csv", "id,n\nx,1\nx,2\n,3\n")], id_column="id")
    assert first.identity.endswith("a.csv#x")
    with pytest.raises(BadDocument, match="has the 'id' of an earlier row"):
        second.variables()
    with pytest.raises(BadDocument, match="has no 'id', which identifies the row"):
        third.variables()


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.csv", "a,b\n1\n", "has 1 columns, the first line 2"),
        ("a.csv", "a,b\n1,2,3\n", "has 3 columns, the first line 2"),
        ("a.csv", 'a\n"never closed\n', "cannot be read as CSV"),
        ("a.jsonl", '{"a": 1\n', "is not JSON"),
        ("a.jsonl", "[1]\n", "is not a JSON object with fields"),
    ],
)
def test_a_bad_row_has_a_reason(table, name, content, reason):
    [row] = RowDocuments([table(name, content)])
    with pytest.raises(BadDocument, match=reason):
        row.variables()


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.csv", "", "its first line must name each column"),
        ("a.csv", "a,,b\n1,2,3\n", "its first line must name each column"),
        ("a.csv", "a,a\n1,2\n", "its first line must name each column"),
        ("a.csv", b"caf\xe9\nx\n", "is not UTF-8 text"),
        ("a.txt", "a\n", "not a table; --rows takes"),
    ],
)
def test_a_file_that_is_not_a_table_is_refused(table, name, content, reason):
    with pytest.raises(ThreadmillError, match=reason):
        list(RowDocuments([table(name, content)]))


def test_the_id_of_a_repeated_row_is_unique(table):
    rows = list(RowDocuments([table("a.csv", "id\nx\nx/2\nx\n")], id_column="id"))
    assert [row.id for row in rows] == ["x", "x/2", "x/3"]
    assert [bool(row.problem) for row in rows] == [False, False, True]


def test_a_table_is_decoded(table):
    text = "what,where\n" + "火車票,台北車站\n旅館,高雄市\n會議室租金,新竹科學園區\n" * 3
    for encoding in ("big5", "utf-16", "utf-16-le", "utf-8-sig"):
        rows = list(RowDocuments([table("a.csv", text.encode(encoding))]))
        assert rows[0].fields == {"what": "火車票", "where": "台北車站"}, encoding
    [row] = RowDocuments([table("a.csv", "caf\xe9\nx\n".encode("cp1252"))], encoding="cp1252")
    assert row.fields == {"café": "x"}


def test_a_parquet_file_is_read_in_batches(tmp_path):
    path = tmp_path / "a.parquet"
    days = [datetime.date(2026, 1, 1), None] * 1500
    columns = {"id": range(3000), "day": days, "price": [Decimal("1.50")] * 3000, "raw": [b"a\xff"] * 3000}
    parquet.write_table(pyarrow.table({**columns, "tags": [["a", "b"]] * 3000}), path, row_group_size=1100)
    rows = RowDocuments([path], id_column="id")
    first, second = islice(rows, 2)
    assert (first.number, first.identity, len(rows)) == (1, f"{path}#0", 3000)
    assert first.variables()["text"] == 'id: 0\nday: 2026-01-01\nprice: 1.50\nraw: a\\xff\ntags: ["a", "b"]'
    assert PromptTemplate("{{ day }}", first.variables()).render(first.variables()) == "2026-01-01"
    assert second.fields["day"] is None


def test_the_rows_of_the_first_sheet_are_read(tmp_path):
    book = openpyxl.Workbook()
    for row in (["what", "amount", None], ["Train", 120], [], ["Hotel"], ["Taxi", 1, "beyond"]):
        book.active.append(row)
    book.create_sheet("Other").append(["else"])
    book.save(tmp_path / "a.xlsx")
    train, hotel, taxi = RowDocuments([tmp_path / "a.xlsx"])
    assert (train.number, train.fields) == (2, {"what": "Train", "amount": 120})
    assert (hotel.number, hotel.fields) == (4, {"what": "Hotel", "amount": None})
    with pytest.raises(BadDocument, match="has 3 columns, the first line 2"):
        taxi.variables()


@pytest.mark.parametrize("name", ["a.parquet", "a.xlsx"])
def test_a_broken_table_is_refused(table, name):
    with pytest.raises(ThreadmillError, match=rf"{name}: (cannot be read as Parquet|is broken)"):
        list(RowDocuments([table(name, b"PK no")]))


def test_a_missing_package_is_named(table, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ThreadmillError, match=r"pyarrow is not installed: .*pip install .*\[parquet\]'"):
        list(RowDocuments([table("a.parquet", b"")]))


def test_a_line_that_is_too_long_is_refused(table, monkeypatch):
    monkeypatch.setattr(lines, "LINE_LIMIT", 20)
    long, short = RowDocuments([table("a.jsonl", '{"a": "' + "x" * 100 + '"}\n{"a": 1}\n')])
    with pytest.raises(BadDocument, match="has more than 20 characters"):
        long.variables()
    assert (short.number, short.fields) == (2, {"a": 1})


def test_a_file_that_is_not_a_workbook_is_refused(tmp_path):
    docx.Document().save(tmp_path / "a.xlsx")
    with pytest.raises(ThreadmillError, match=r"a\.xlsx: is broken, or not what its name says"):
        list(RowDocuments([tmp_path / "a.xlsx"]))


def test_a_line_nested_too_deep_is_a_bad_row(table):
    [row] = RowDocuments([table("a.jsonl", "[" * 100_000)])
    with pytest.raises(BadDocument, match="is not JSON"):
        row.variables()


def test_the_name_of_a_row_can_be_encoded(table):
    [row] = RowDocuments([table("a.jsonl", r'{"id": "\ud83d"}')], id_column="id")
    assert row.location["id"] == r"\ud83d"
