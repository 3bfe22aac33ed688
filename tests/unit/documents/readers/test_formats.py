"""The text of files that are not plain text."""

import sys
import zipfile
from contextlib import suppress
from io import BytesIO

import docx
import openpyxl
import pptx
import pypdf
import pytest
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pptx.util import Inches

from threadmill.documents.errors import BadDocument
from threadmill.documents.readers.formats import extract_text


def pdf(*texts: str) -> bytes:
    """A page per text."""
    pages = range(4, 4 + 2 * len(texts), 2)
    kids = " ".join(f"{page} 0 R" for page in pages)
    objects = {
        1: "<< /Type /Catalog /Pages 2 0 R >>",
        2: f"<< /Type /Pages /Kids [{kids}] /Count {len(texts)} >>",
        3: "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    }
    for page, text in zip(pages, texts, strict=True):
        content = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET" if text else ""
        resources = "/Resources << /Font << /F1 3 0 R >> >>"
        objects[page] = f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] {resources} /Contents {page + 1} 0 R >>"
        objects[page + 1] = f"<< /Length {len(content)} >>\nstream\n{content}\nendstream"
    body, offsets = "%PDF-1.4\n", []
    for number in sorted(objects):
        offsets.append(len(body))
        body += f"{number} 0 obj\n{objects[number]}\nendobj\n"
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    end = f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}"
    return f"{body}{end}trailer << /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{len(body)}\n%%EOF".encode()


def encrypted(content_path, path, user: str) -> None:
    writer = pypdf.PdfWriter(clone_from=content_path)
    writer.encrypt(user, "owner", algorithm="AES-256")
    writer.write(path)


def test_a_pdf_page_by_page(tmp_path):
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf("Page one", "", "Page three"))
    assert extract_text(path).split("\n\n") == ["Page one", "", "Page three\n"]


def test_a_pdf_that_only_forbids_to_change_it_is_read(tmp_path):
    (tmp_path / "a.pdf").write_bytes(pdf("Page one"))
    encrypted(tmp_path / "a.pdf", tmp_path / "b.PDF", "")
    assert extract_text(tmp_path / "b.PDF") == "Page one\n"


def test_an_unreadable_pdf_is_refused_with_a_reason(tmp_path, capfd):
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf("secret"))
    encrypted(path, tmp_path / "locked.pdf", "password")
    with pytest.raises(BadDocument, match="is encrypted; save it without its password"):
        extract_text(tmp_path / "locked.pdf")
    path.write_bytes(pdf("", ""))
    with pytest.raises(BadDocument, match="has no text on its 2 pages, perhaps only images; run OCR"):
        extract_text(path)
    for broken in (b"no PDF at all", pdf("torn")[:100]):
        path.write_bytes(broken)
        with pytest.raises(BadDocument, match="is broken, or not what its name says"):
            extract_text(path)
    assert capfd.readouterr() == ("", "")


def test_a_word_document_in_its_order_with_what_is_easily_lost(tmp_path):
    document = docx.Document()
    document.add_heading("The title", 0)
    document.add_paragraph("Before the table")
    table = document.add_table(2, 2)
    for cell, text in zip((cell for row in table.rows for cell in row.cells), ("a", "b|c", "1", "2"), strict=True):
        cell.text = text
    document.add_heading("A part", 2)
    changed = document.add_paragraph("Kept")._p
    changed.append(parse_xml(f"<w:ins {nsdecls('w')}><w:r><w:t> inserted</w:t></w:r></w:ins>"))
    changed.append(parse_xml(f"<w:del {nsdecls('w')}><w:r><w:delText> deleted</w:delText></w:r></w:del>"))
    control = "<w:sdt {}><w:sdtContent><w:p><w:r><w:t>In a control</w:t></w:r></w:p></w:sdtContent></w:sdt>"
    changed.addnext(parse_xml(control.format(nsdecls("w"))))
    document.save(tmp_path / "a.docx")

    assert extract_text(tmp_path / "a.docx") == (
        "# The title\n\nBefore the table\n\n| a | b\\|c |\n| --- | --- |\n| 1 | 2 |\n\n"
        "## A part\n\nKept inserted\n\nIn a control\n"
    )


def test_slides_with_tables_and_notes(tmp_path):
    show = pptx.Presentation()
    slide = show.slides.add_slide(show.slide_layouts[1])
    slide.shapes.title.text = "Sales"
    slide.placeholders[1].text = "Up by half"
    table = slide.shapes.add_table(1, 2, *map(Inches, (1, 1, 2, 1))).table
    table.cell(0, 0).text, table.cell(0, 1).text = "May", "120"
    slide.notes_slide.notes_text_frame.text = "Mention June"
    show.save(tmp_path / "a.pptx")

    assert extract_text(tmp_path / "a.pptx") == (
        "## Slide 1\n\nSales\n\nUp by half\n\n| May | 120 |\n| --- | --- |\n\nNotes: Mention June\n"
    )


def test_a_workbook_sheet_by_sheet(tmp_path):
    book = openpyxl.Workbook()
    book.active.title = "Costs"
    book.active.append(["what", "amount", None])
    book.active.append([])
    book.active.append(["Train\nticket", 120])
    book.create_sheet("Empty")
    book.create_sheet("More").append([1.5, None, True])
    book.save(tmp_path / "a.xlsx")
    assert extract_text(tmp_path / "a.xlsx") == "## Costs\n\nwhat\tamount\nTrain ticket\t120\n\n## More\n\n1.5\t\tTrue"


def test_a_page_is_read_without_its_invisible_parts(tmp_path):
    path = tmp_path / "a.html"
    path.write_text(
        "<html><head><title>News</title><style>p {}</style><script>evil()</script></head><body><!-- no -->"
        "<h2>Weather</h2><p>Some <b>rain</b>, see <a href='/map'>the map</a>.<script>1</script></p>"
        "<ul><li>one<li>two</ul><table><tr><th>a<th>b<tr><td>1<td>2</table><img src='data:image/png;base64,AAAA'>"
    )
    text = extract_text(path)
    assert text.startswith("# News\n\n## Weather\n\nSome **rain**, see [the map](/map).\n\n- one\n- two")
    assert "| a | b |\n| --- | --- |\n| 1 | 2 |" in text
    assert not any(unseen in text for unseen in ("evil", "p {}", "no", "AAAA"))


@pytest.mark.parametrize("name", ["a.docx", "a.pptx", "a.xlsx"])
def test_an_unreadable_office_file_is_refused_with_a_reason(tmp_path, name):
    path = tmp_path / name
    ole = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
    with zipfile.ZipFile(tmp_path / "zip", "w") as archive:
        archive.writestr("else.txt", "something else")
    for content, reason in (
        (b"", "is empty"),
        (b"PK\x03\x04 torn", "is broken, or not an Office file"),
        ((tmp_path / "zip").read_bytes(), "is broken, or not what its name says"),
        (ole + bytes(500) + "EncryptedPackage".encode("utf-16-le"), "is encrypted; save it without its password"),
        (ole + bytes(500), "is in an old Office format"),
    ):
        path.write_bytes(content)
        with pytest.raises(BadDocument, match=reason):
            extract_text(path)


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    path = tmp_path / "a.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/sharedStrings.xml", b" " * 110_000_000)
    assert path.stat().st_size < 200_000
    monkeypatch.setattr(zipfile.ZipFile, "open", None)
    with pytest.raises(BadDocument, match="is too large when unpacked: 110,000,000 bytes of text"):
        extract_text(path)


def test_a_large_file_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "a.pdf"
    with path.open("wb") as file:
        file.truncate(3_000_000_000)
    with pytest.raises(BadDocument, match="has 3,000,000,000 bytes; the limit is 100,000,000"):
        extract_text(path)
    path = path.rename(tmp_path / "a.txt")
    with pytest.raises(BadDocument, match="has 3,000,000,000 bytes; a document has at most 20,000,000 characters"):
        extract_text(path)


def test_an_endless_file_is_refused(tmp_path):
    endless = tmp_path / "endless.txt"
    endless.symlink_to("/dev/zero")
    with pytest.raises(BadDocument, match="has more than 40 bytes"):
        extract_text(endless, limit=10)


def test_extracted_text_has_a_limit(tmp_path):
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf("x" * 30, "y" * 30))
    with pytest.raises(BadDocument, match="has more than 40 characters; a message holds"):
        extract_text(path, limit=40)


@pytest.mark.parametrize(("name", "package"), [("a.pdf", "pypdf"), ("a.docx", "docx"), ("a.html", "markdownify")])
def test_without_the_extra_the_error_names_the_remedy(tmp_path, monkeypatch, name, package):
    path = tmp_path / name
    path.write_bytes(b"anything")
    for module in ("pdf", "office", "html"):
        monkeypatch.delitem(sys.modules, f"threadmill.documents.readers.{module}", raising=False)
        monkeypatch.delattr(f"threadmill.documents.readers.{module}", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(BadDocument, match=rf"'{package}' to read it is not installed: .*pip install .*\[documents\]'"):
        extract_text(path)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (rb"{\rtf1\ansi{\fonttbl\f0 Arial;}\f0 Caf\'e9 {\b bold}\par Next \u22825?\par}", "Café bold\nNext 天"),
        ("{\\rtf1\\ansi\\ansicpg1252 Café crème brûlée déjà}".encode("cp1252"), "Café crème brûlée déjà"),
        (rb"{\rtf1 a {\pict\bin3 " + b"\xff}{" + b"}b}", "a b"),
    ],
)
def test_rich_text_is_read_without_its_formatting(tmp_path, content, text):
    (tmp_path / "a.rtf").write_bytes(content)
    assert extract_text(tmp_path / "a.rtf") == text


@pytest.mark.parametrize(("content", "reason"), [(b"a text", "is broken, or not an RTF file"), (b"", "is empty")])
def test_files_that_are_not_rich_text_are_refused(tmp_path, content, reason):
    (tmp_path / "a.rtf").write_bytes(content)
    with pytest.raises(BadDocument, match=reason):
        extract_text(tmp_path / "a.rtf")


@pytest.mark.parametrize(
    ("name", "remedy"), [("a.doc", ".docx"), ("a.PPT", ".pptx"), ("a.pages", ".docx"), ("a.xlsb", ".xlsx")]
)
def test_an_unreadable_format_is_refused_with_a_readable_alternative(tmp_path, name, remedy):
    with pytest.raises(BadDocument, match=rf"which cannot be read; save it as \{remedy}$"):
        extract_text(tmp_path / name)


def test_surrogates_are_joined_or_replaced(monkeypatch, tmp_path):
    (tmp_path / "a.pdf").write_bytes(pdf("one"))
    monkeypatch.setattr(pypdf.PageObject, "extract_text", lambda page: "\ud835\udc00 \udc00")
    assert extract_text(tmp_path / "a.pdf") == "\U0001d400 \ufffd\n"


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@pytest.mark.parametrize("kind", [".pdf", ".docx", ".pptx", ".xlsx", ".html", ".xhtml", ".xml", ".txt"])
def test_any_file_becomes_text_or_has_a_reason(kind, data, tmp_path, made):
    whole = made(kind)
    at, end = sorted((data.draw(st.integers(0, len(whole))), data.draw(st.integers(0, len(whole)))))
    path = tmp_path / f"a{kind}"
    path.write_bytes(whole[:at] + data.draw(st.binary(max_size=20)) + whole[end:])
    with suppress(BadDocument):
        extract_text(path)


@pytest.fixture(scope="module")
def made():
    """Returns a valid file of each kind."""
    files = {
        ".pdf": pdf("one", "two"),
        ".html": b"<p>one <b>two</b>",
        ".xml": "<a>\xe9</a>".encode("utf-16"),
        ".txt": b"",
        ".xhtml": b'<?xml version="1.0"?><p>a',
    }
    for kind, new in ((".docx", docx.Document), (".pptx", pptx.Presentation), (".xlsx", openpyxl.Workbook)):
        new().save(content := BytesIO())
        files[kind] = content.getvalue()
    return files.__getitem__
