"""Reads emails: their main headers, their body and the names of their attachments."""

from collections.abc import Callable, Iterable, Iterator
from email import message_from_binary_file, policy
from email.message import EmailMessage
from io import BytesIO
from typing import BinaryIO, cast

from threadmill.documents.errors import BadDocument
from threadmill.documents.readers.encoding import decode

_HEADERS = ("From", "To", "Cc", "Date", "Subject")

#: The year of a date that was never set in Outlook.
_NO_YEAR = 1601

_ENCRYPTED = "is encrypted or sealed (S/MIME or PGP); decrypt it in your mail program and save it again"


def read_eml(file: BinaryIO, encoding: str | None = None) -> Iterator[str]:
    """Yields the text of an email in MIME form, or of a page saved as .mhtml.

    `encoding` applies to a body that declares none that fits. Raises BadDocument, and ModuleNotFoundError for
    an HTML body without the extra `documents`.
    """
    message = message_from_binary_file(file, policy=policy.default)
    headers = {name: value for name in _HEADERS if (value := _header(message, name))}
    if not headers:
        raise BadDocument("is broken, or not an email: it has none of the headers From, To, Date and Subject")
    if any(part.get_content_type() in _ENCRYPTED_TYPES for part in message.walk()):
        raise BadDocument(_ENCRYPTED)
    return _mail(headers, _body(message, encoding), _attachments(message))


#: Content types that only the recipient can read.
_ENCRYPTED_TYPES = {"application/pkcs7-mime", "application/x-pkcs7-mime", "multipart/encrypted"}


def read_msg(file: BinaryIO, encoding: str | None = None) -> Iterator[str]:
    """Yields the text of an email saved by Outlook. Raises BadDocument, ModuleNotFoundError without `documents`."""
    from oxmsg import Message
    from oxmsg.domain import constants as ids

    message = Message.load(file)
    if message.message_class.startswith("IPM.Note.SMIME") and "MultipartSigned" not in message.message_class:
        raise BadDocument(_ENCRYPTED)
    properties = message.properties
    sent = message.sent_date
    headers = {
        "From": message.sender,
        "To": properties.str_prop_value(ids.PID_DISPLAY_TO),
        "Cc": properties.str_prop_value(ids.PID_DISPLAY_CC),
        "Date": f"{sent:%Y-%m-%d %H:%M} UTC" if sent and sent.year > _NO_YEAR else None,
        "Subject": message.subject,
    }
    body = (message.body or "").strip()
    if not body and (html := properties.binary_prop_value(ids.PID_HTML)):
        body = _html(html, properties.body_encoding, encoding)
    if not body and properties.binary_prop_value(ids.PID_RTF_COMPRESSED):
        raise BadDocument("has its text only as RTF; save it as .eml, .html or .rtf")
    names = (attachment.file_name or "unnamed" for attachment in message.attachments)
    # Outlook ends some texts with a NUL.
    return _mail({name: value.strip("\0") for name, value in headers.items() if value}, body.strip("\0"), names)


def _mail(headers: dict[str, str], body: str, attachments: Iterable[str]) -> Iterator[str]:
    yield "".join(f"{name}: {' '.join(value.split())}\n" for name, value in headers.items())
    if body.strip():
        yield "\n".join(body.splitlines()).strip() + "\n"
    names = ", ".join(attachments)
    if names:
        yield f"Attachments: {names}\n"


def _header(message: EmailMessage, name: str) -> str:
    """Returns the text of a header, unparsed if it is malformed."""
    try:
        return str(message.get(name, ""))
    except Exception:  # the parser can raise any exception for malformed headers
        raw = next(value for key, value in message.raw_items() if key.lower() == name.lower())
        return str(raw).encode("ascii", "backslashreplace").decode()


def _body(message: EmailMessage, encoding: str | None) -> str:
    """Returns the plain text body, else the HTML body. Empty for a mail that only has attachments."""
    for kind, read in _READERS.items():
        part = message.get_body((kind,))
        if part is not None:
            content = part.get_payload(decode=True)
            text = read(content if isinstance(content, bytes) else b"", part.get_content_charset(), encoding).strip()
            if text:
                return text
    if message.is_multipart() or message.get_content_maintype() != "multipart":
        return ""
    return _plain(cast(bytes, message.get_payload(decode=True)), None, encoding)  # malformed: it has no boundaries


def _plain(content: bytes, declared: str | None, encoding: str | None) -> str:
    return decode(content, encoding, declared=declared)


def _html(content: bytes, declared: str | None, encoding: str | None) -> str:
    from threadmill.documents.readers.html import read_html

    text = decode(content, encoding, markup=True, declared=declared)
    return "\n".join(read_html(BytesIO(text.encode("utf-8", "replace")), "utf-8"))


#: Readers by subtype of text/, in order of preference: (content, declared charset, given encoding) -> text.
_READERS: dict[str, Callable[[bytes, str | None, str | None], str]] = {"plain": _plain, "html": _html}


def _attachments(part: EmailMessage) -> Iterator[str]:
    name = part.get_filename()
    if part.get_content_type() == "message/rfc822":
        yield name or "a forwarded email"
    elif part.is_multipart():
        for inner in part.get_payload():
            yield from _attachments(cast(EmailMessage, inner))
    elif name or part.is_attachment():
        yield name or part.get_content_type()
