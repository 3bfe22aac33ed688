"""Tables as document sets: what is a row, how it is known again, what is refused."""

import pytest

from threadmill.documents.rows import Rows
from threadmill.documents.template import BadDocument, BadTemplate, PromptTemplate
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
    rows = Rows([table(name, content)])
    template = PromptTemplate("Is {{ amount }} too much for {{ what }}?", next(iter(rows)).variables())

    prompts = [template.render(row.variables()) for row in rows]

    assert prompts == ["Is 120 too much for Train, first class?", "Is 90 too much for Hotel?"]
    assert len(rows) == 2


def test_a_row_has_a_text_and_names_for_what_a_template_cannot_write(table):
    [row] = Rows([table("a.jsonl", '{"Unit price": 3, "tags": ["a", "b"]}')])
    assert row.variables()["text"] == 'Unit price: 3\ntags: ["a", "b"]'
    assert PromptTemplate('{{ row["Unit price"] }}', row.variables()).render(row.variables()) == "3"


def test_a_column_may_be_called_as_a_variable_of_ours(table):
    [row] = Rows([table("a.csv", "text,name\nHello,Ann\n")])
    assert (row.variables()["text"], row.variables()["name"]) == ("Hello", "Ann")


def test_a_row_may_span_lines_and_is_found_by_its_last(table):
    first, second = Rows([table("a.csv", 'what\n"two\nlines"\none\n')])
    assert (first.fields["what"], first.number, second.number) == ("two\nlines", 3, 4)
    assert second.label.endswith("a.csv:4")


def test_a_row_is_known_by_what_it_holds_wherever_it_stands(table):
    before = [row.identity for row in Rows([table("a.csv", "n\n1\n2\n2\n")])]
    after = [row.identity for row in Rows([table("a.csv", "n\n0\n2\n1\n2\n")])]
    assert len(set(before)) == 3
    assert set(before) < set(after)


def test_or_by_a_column_of_its_own(table):
    first, second, third = Rows([table("a.csv", "id,n\nx,1\nx,2\n,3\n")], id_column="id")
    assert first.identity.endswith("a.csv#x")
    with pytest.raises(BadDocument, match="has the 'id' of an earlier row"):
        second.variables()
    with pytest.raises(BadDocument, match="has no 'id', by which rows are known"):
        third.variables()


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.csv", "a,b\n1\n", "has 1 columns, the first line 2"),
        ("a.csv", "a,b\n1,2,3\n", "has 3 columns, the first line 2"),
        ("a.csv", 'a\n"never closed\n', "cannot be read as CSV"),
        ("a.jsonl", '{"a": 1\n', "is not JSON"),
        ("a.jsonl", "[1]\n", "is no JSON object with fields"),
    ],
)
def test_a_bad_row_has_a_reason(table, name, content, reason):
    [row] = Rows([table(name, content)])
    with pytest.raises(BadDocument, match=reason):
        row.variables()


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.csv", "", "its first line must name each column"),
        ("a.csv", "a,,b\n1,2,3\n", "its first line must name each column"),
        ("a.csv", "a,a\n1,2\n", "its first line must name each column"),
        ("a.csv", b"caf\xe9\nx\n", "is not UTF-8 text"),
        ("a.txt", "a\n", "not a table: --rows takes"),
    ],
)
def test_what_is_no_table_is_refused_whole(table, name, content, reason):
    with pytest.raises(ThreadmillError, match=reason):
        list(Rows([table(name, content)]))


def test_an_unknown_column_is_refused_at_once(table):
    [row] = Rows([table("a.csv", "what\nTrain\n")])
    with pytest.raises(BadTemplate, match=r"'amount' is undefined\. It can use text, name, path, row, what"):
        PromptTemplate("{{ amount }}", row.variables())
