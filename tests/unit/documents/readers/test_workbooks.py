"""Workbooks of Excel before 2007 and of LibreOffice: as text, and row by row."""

import datetime
import struct
import zipfile

import pytest
from tests.unit.documents.readers.compound import compound

from threadmill.documents.errors import BadDocument
from threadmill.documents.readers.formats import extract_text
from threadmill.documents.rows import RowDocuments
from threadmill.errors import ThreadmillError

NAMESPACES = " ".join(
    f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{path}:1.0"'
    for name, path in {
        "office": "office",
        "text": "text",
        "table": "table",
        "draw": "drawing",
        "presentation": "presentation",
    }.items()
)


def record(kind: int, content: bytes = b"") -> bytes:
    return struct.pack("<HH", kind, len(content)) + content


def xls(*rows: tuple[object, ...], encrypted: bool = False) -> bytes:
    """A workbook of BIFF8 ([MS-XLS]) with one sheet. Cell formats: 0 general, 1 a date."""

    def cell(row: int, column: int, value: object) -> bytes:
        place = struct.pack("<HH", row, column)
        match value:
            case bool():
                return record(0x205, place + struct.pack("<HBB", 0, value, 0))
            case int() | float():
                return record(0x203, place + struct.pack("<Hd", 0, value))
            case datetime.date():
                return record(0x203, place + struct.pack("<Hd", 1, (value - datetime.date(1899, 12, 30)).days))
        text = str(value).encode("utf-16-le")
        return record(0x204, place + struct.pack("<HHB", 0, len(text) // 2, 1) + text)

    def begin(kind: int) -> bytes:
        return record(0x809, struct.pack("<HHHHII", 0x600, kind, 0, 0, 0, 6))

    end = record(0x0A)
    formats = b"".join(record(0xE0, struct.pack("<HHH14x", 0, number, 0)) for number in (0, 14))
    name = b"\5\0Costs"
    before = (
        begin(5) + (record(0x2F, bytes(54)) if encrypted else b"") + record(0x42, struct.pack("<H", 1200)) + formats
    )
    size = len(before) + 4 + 6 + len(name) + len(end)
    sheet = record(0x85, struct.pack("<IBB", size, 0, 0) + name)
    cells = (
        cell(row, column, value)
        for row, values in enumerate(rows)
        for column, value in enumerate(values)
        if value is not None
    )
    return compound({"Workbook": before + sheet + end + begin(0x10) + b"".join(cells) + end})


def open_document(kind: str, content: str, manifest: str = "") -> dict[str, str]:
    body = f"<office:body><office:{kind}>{content}</office:{kind}></office:body>"
    document = f'<?xml version="1.0"?><office:document-content {NAMESPACES}>{body}</office:document-content>'
    return {"content.xml": document, "META-INF/manifest.xml": f"<manifest>{manifest}</manifest>"}


def ods(*rows: str) -> dict[str, str]:
    return open_document("spreadsheet", f'<table:table table:name="Costs">{"".join(rows)}</table:table>')


def row(*values: object, repeated: int = 1) -> str:
    return f'<table:table-row table:number-rows-repeated="{repeated}">{"".join(map(_cell, values))}</table:table-row>'


def _cell(value: object) -> str:
    match value:
        case None:
            return "<table:table-cell/>"
        case bool():
            kind = f'office:value-type="boolean" office:boolean-value="{str(value).lower()}"'
        case int() | float():
            kind = f'office:value-type="float" office:value="{value}"'
        case datetime.date():
            kind = f'office:value-type="date" office:date-value="{value}"'
        case _:
            kind = 'office:value-type="string"'
    return f"<table:table-cell {kind}><text:p>{value}</text:p></table:table-cell>"


@pytest.fixture
def file(tmp_path):
    def write(name: str, content: bytes | dict[str, str]):
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
                for member, text in content.items():
                    package.writestr(member, text)
        return path

    return write


DAY = datetime.date(2026, 1, 2)
ROWS = (("what", "amount", "day", "paid"), ("Train 火車", 120, DAY, True), (), ("Hotel", 90.5, None, False))
FILES = {
    ".xls": xls(*ROWS),
    ".ods": ods(*(row(*values) for values in ROWS), row(repeated=1_048_000)),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_workbook_becomes_a_line_per_row(file, kind):
    lines = extract_text(file(f"a{kind}", FILES[kind])).replace(" 00:00:00", "").splitlines()
    assert lines == [
        "## Costs",
        "",
        "what\tamount\tday\tpaid",
        "Train 火車\t120\t2026-01-02\tTrue",
        "Hotel\t90.5\t\tFalse",
    ]


@pytest.mark.parametrize("kind", FILES)
def test_each_row_of_the_first_sheet_can_be_a_document(file, kind):
    train, hotel = RowDocuments([file(f"a{kind}", FILES[kind])], id_column="what")
    assert (train.number, train.id, train.fields["amount"], train.fields["paid"]) == (2, "Train 火車", 120, True)
    assert str(train.fields["day"]).startswith("2026-01-02")
    assert (hotel.number, hotel.fields) == (4, {"what": "Hotel", "amount": 90.5, "day": None, "paid": False})


def test_repeated_rows_and_columns_of_an_ods_are_counted(file):
    cells = '<table:table-cell table:number-columns-repeated="3" office:value-type="float" office:value="7"/>'
    content = ods(
        row("a"), row(repeated=2), f'<table:table-row table:number-rows-repeated="2">{cells}</table:table-row>'
    )
    path = file("a.ods", content)
    assert extract_text(path) == "## Costs\n\na\n7\t7\t7\n7\t7\t7"
    assert [each.number for each in RowDocuments([path])] == [4, 5]


def test_an_ods_with_too_many_repeated_cells_is_refused(file):
    cells = '<table:table-cell table:number-columns-repeated="999999999"><text:p>x</text:p></table:table-cell>'
    content = ods(f'<table:table-row table:number-rows-repeated="999999999">{cells}</table:table-row>')
    with pytest.raises(BadDocument, match="has more than 10,000 characters"):
        extract_text(file("a.ods", content), limit=10_000)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.xls", xls(("a",), encrypted=True), "is encrypted; save it without its password"),
        ("a.xls", xls(("a",))[:600], "is broken, or not what its name says"),
        ("a.xls", b"<table><tr><td>1", "is broken, or not what its name says"),
        ("a.ods", b"PK\3\4", "is broken, or not an Office file"),
        ("a.ods", {"other.xml": ""}, "is broken, or not an OpenDocument file"),
        ("a.ods", open_document("text", ""), "it has no office:spreadsheet; open and save it again"),
        ("a.ods", open_document("spreadsheet", "", "<encryption-data/>"), "is encrypted; save it without its password"),
        ("a.ods", {"content.xml": " " * 31_000_000}, "is too large when unpacked"),
    ],
)
def test_a_workbook_that_cannot_be_read_is_refused(file, name, content, reason):
    path = file(name, content)
    with pytest.raises(BadDocument, match=reason):
        extract_text(path)
    with pytest.raises(ThreadmillError, match=rf"{name}: .*{reason}"):
        list(RowDocuments([path]))


def test_a_text_document_of_libreoffice_becomes_markdown(file):
    deleted = "<text:tracked-changes><text:p>deleted</text:p></text:tracked-changes>"
    heading = '<text:h text:outline-level="2">Agenda</text:h>'
    spaces = '<text:p>One<text:s text:c="3"/><text:span>two</text:span><text:tab/>three<text:line-break/>four</text:p>'
    note = "<text:p>Five<text:note><text:p>a footnote</text:p></text:note> six</text:p>"
    items = "<text:list><text:list-item><text:p>seven</text:p></text:list-item></text:list>"
    frame = "<text:p>eight<draw:frame><draw:text-box><text:p>nine</text:p></draw:text-box></draw:frame></text:p>"
    table = f"<table:table>{row('what', 'amount')}{row('Train | bus', 120)}</table:table>"
    path = file("a.odt", open_document("text", deleted + heading + spaces + note + items + frame + table))
    assert extract_text(path) == (
        "## Agenda\n\nOne   two\tthree\nfour\n\nFive six\n\nseven\n\neight\nnine\n\n"
        "| what | amount |\n| --- | --- |\n| Train \\| bus | 120 |\n"
    )


def test_slides_of_libreoffice_have_their_notes(file):
    box = "<draw:frame><draw:text-box><text:p>{}</text:p></draw:text-box></draw:frame>"
    notes = f"<presentation:notes>{box.format('say it slowly')}</presentation:notes>"
    pages = f"<draw:page>{box.format('One')}{notes}</draw:page><draw:page>{box.format('Two')}</draw:page>"
    path = file("a.odp", open_document("presentation", pages))
    assert extract_text(path) == "## Slide 1\n\nOne\n\nNotes: say it slowly\n\n## Slide 2\n\nTwo\n"


def test_entities_of_an_open_document_are_not_resolved(file, tmp_path):
    (tmp_path / "secret").write_text("secret")
    document = open_document("text", "<text:p>a&x;b</text:p>")["content.xml"]
    attack = document.replace("?>", f'?><!DOCTYPE a [<!ENTITY x SYSTEM "file://{tmp_path}/secret">]>', 1)
    assert extract_text(file("a.odt", {"content.xml": attack})) == "ab\n"
