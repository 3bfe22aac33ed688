"""The text of emails, and which are refused."""

import struct
import sys
from contextlib import suppress
from datetime import UTC, datetime
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.documents.readers.compound import compound

from threadmill.documents.errors import BadDocument
from threadmill.documents.readers.formats import extract_text

HEADERS = {"From": "Ann <ann@x.org>", "To": "bob@y.org, c@z.org", "Date": "Fri, 20 Nov 2026 10:00:00 +0800"}
SHOWN = "From: Ann <ann@x.org>\nTo: bob@y.org, c@z.org\nDate: Fri, 20 Nov 2026 10:00:00 +0800\n"


@pytest.fixture
def read(tmp_path):
    def text(content: bytes | EmailMessage, name: str = "a.eml", encoding: str | None = None) -> str:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.as_bytes())
        return extract_text(path, encoding)

    return text


@pytest.fixture
def mail():
    message = EmailMessage()
    for name, value in {**HEADERS, "Subject": "Größe 天氣", "X-Spam": "no"}.items():
        message[name] = value
    return message


def test_an_email_gives_headers_plain_text_and_attachment_names(read, mail):
    forwarded = EmailMessage()
    forwarded.set_content("what was forwarded")
    mail.set_content("Hello\nthere\n")
    mail.add_alternative("<p>Hello <b>there</b></p>", subtype="html")
    mail.add_attachment(b"%PDF-", maintype="application", subtype="pdf", filename="Bericht ü.pdf")
    mail.add_attachment(forwarded)
    assert read(mail) == (
        f"{SHOWN}Subject: Größe 天氣\n\nHello\nthere\n\nAttachments: Bericht ü.pdf, a forwarded email\n"
    )


def test_an_html_body_becomes_markdown(read, mail):
    mail.set_content("<style>p {}</style><h1>Minutes</h1><p>Only <b>this</b> — 天空</p>", subtype="html")
    assert read(mail).endswith("\n\n# Minutes\n\nOnly **this** — 天空\n")


def test_an_html_body_needs_the_extra_and_a_plain_one_does_not(read, mail, monkeypatch):
    monkeypatch.setitem(sys.modules, "threadmill.documents.readers.html", None)
    mail.set_content("plain")
    assert read(mail).endswith("plain\n")
    mail.set_content("<p>rich", subtype="html")
    with pytest.raises(BadDocument, match=r"is a \.eml file, and the package .* pip install .*\[documents\]"):
        read(mail)


def test_a_page_saved_as_mhtml_is_read(read):
    page = b'From: <Saved>\r\nSubject: Page\r\nContent-Type: multipart/related; boundary="x"\r\n\r\n--x\r\n'
    page += (
        b"Content-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<p>Caf=C3=A9</p>\r\n--x--\r\n"
    )
    assert read(page, "a.mhtml").endswith("Subject: Page\n\nCafé\n")


@pytest.mark.parametrize(
    ("declared", "encoding"), [("big5", "big5"), ("gb2312", "gbk"), ("us-ascii", "utf-8"), ("klingon", "utf-8")]
)
def test_a_body_is_read_in_the_charset_declared_if_it_fits(read, declared, encoding):
    content = f"From: a@b\nContent-Type: text/plain; charset={declared}\nContent-Transfer-Encoding: 8bit\n\n"
    assert read(content.encode() + "天空很".encode(encoding)) == "From: a@b\n\n天空很\n"


def test_a_body_without_charset_has_the_given_encoding(read):
    content = "From: a@b\n\nLe café".encode("cp1252")
    with pytest.raises(BadDocument, match="its encoding may be cp1252, "):
        read(content)
    assert read(content, encoding="cp1252") == "From: a@b\n\nLe café\n"


def nested(depth: int) -> bytes:
    parts = (f"--{level}\nContent-Type: multipart/mixed; boundary={level + 1}\n\n" for level in range(depth))
    return f"From: a@b\nContent-Type: multipart/mixed; boundary=0\n\n{''.join(parts)}--{depth}\n\nfound".encode()


@pytest.mark.parametrize(
    "content",
    [
        nested(100),
        b"From: a@b\nContent-Type: multipart/mixed; boundary=\n\nfound",
        b"From: a@b\nContent-Type: multipart/mixed; boundary=x\n\n--x\n\nfound",
        b'From: <@,>"\\\nTo: ,,<<>>@@\nDate: never\nSubject: =?foo?z?bar?=\nContent-Type: ;;;\n\nfound',
        b"From: a@b\nContent-Type: text/plain\nContent-Transfer-Encoding: base64\n\nZm91bmQ",
    ],
)
def test_a_badly_written_email_keeps_its_text(read, content):
    assert read(content).endswith("found\n")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"Just a text.\n", "is broken, or not an email: it has none of the headers"),
        (bytes(range(256)), "is broken, or not an email"),
        (b"From: a@b\nContent-Type: application/pkcs7-mime\n\nMIIB", "is encrypted or sealed"),
        (b"From: a@b\nContent-Type: multipart/encrypted; boundary=x\n\n--x\n\nMIIB", "is encrypted or sealed"),
    ],
)
def test_an_unreadable_email_is_refused(read, content, reason):
    with pytest.raises(BadDocument, match=reason):
        read(content)


@given(st.binary(max_size=400))
def test_any_email_becomes_text_or_has_a_reason(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("mails") / "a.eml"
    path.write_bytes(b"Subject: s\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n" + content)
    with suppress(BadDocument):
        assert extract_text(path).startswith("Subject: s")


# Properties of an Outlook message, by id and type.
TEXT, BINARY, TIME = 0x001F, 0x0102, 0x0040
CLASS, SUBJECT, SENDER, TO, BODY, HTML, RTF, SENT, FILE_NAME = (
    0x001A, 0x0037, 0x0042, 0x0E04, 0x1000, 0x1013, 0x1009, 0x0039, 0x3707,
)  # fmt: skip


def properties(header: int, values: dict[int, str | bytes | datetime]) -> dict[str, bytes]:
    streams, table = {}, bytes(header)
    for number, value in values.items():
        kind = TEXT if isinstance(value, str) else BINARY if isinstance(value, bytes) else TIME
        if isinstance(value, datetime):
            ticks = int((value - datetime(1601, 1, 1, tzinfo=UTC)).total_seconds()) * 10_000_000
            table += struct.pack("<HHIQ", kind, number, 6, ticks)
            continue
        content = value.encode("utf-16-le") if isinstance(value, str) else value
        streams[f"__substg1.0_{number:04X}{kind:04X}"] = content
        table += struct.pack("<HHIII", kind, number, 6, len(content), 0)
    return {**streams, "__properties_version1.0": table}


def outlook(values: dict[int, str | bytes | datetime], *attachments: str) -> bytes:
    files = {
        f"__attach_version1.0_#{number:08X}": properties(8, {FILE_NAME: name})
        for number, name in enumerate(attachments)
    }
    values = {CLASS: "IPM.Note", SUBJECT: "Größe 天氣", SENDER: "Ann", TO: "Bob; Cay\0", **values}
    return compound({**files, **properties(32, values)})


def test_an_outlook_email_is_read(read):
    content = outlook({BODY: "Hello\r\nthere\r\n\0", SENT: datetime(2026, 11, 20, 2, tzinfo=UTC)}, "a.pdf", "b.xlsx")
    assert read(content, "a.msg") == (
        "From: Ann\nTo: Bob; Cay\nDate: 2026-11-20 02:00 UTC\nSubject: Größe 天氣\n\n"
        "Hello\nthere\n\nAttachments: a.pdf, b.xlsx\n"
    )


def test_an_email_of_outlook_without_plain_text_and_date(read):
    content = outlook({HTML: b"<p>Hello <b>there</b></p>", SENT: datetime(1601, 1, 1, tzinfo=UTC)})
    assert read(content, "a.msg") == "From: Ann\nTo: Bob; Cay\nSubject: Größe 天氣\n\nHello **there**\n"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (outlook({RTF: b"\0\0"}), r"has its text only as RTF; save it as \.eml"),
        (outlook({CLASS: "IPM.Note.SMIME"}), "is encrypted or sealed"),
        (outlook({BODY: "x"})[:1000], "is broken, or not what its name says"),
        (b"PK\3\4", "is broken, or not what its name says"),
        (b"", "is empty"),
    ],
)
def test_an_email_of_outlook_that_cannot_be_read_is_refused(read, content, reason):
    with pytest.raises(BadDocument, match=reason):
        read(content, "a.msg")
