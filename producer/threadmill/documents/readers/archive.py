"""Checks an Office file, a ZIP archive, before it is unpacked."""

from typing import BinaryIO
from zipfile import BadZipFile, ZipFile

from threadmill.documents.errors import BadDocument

#: The largest unpacked size in bytes: of all entries, and of XML, which takes ten times its size when parsed.
_UNPACKED_LIMIT, _XML_LIMIT = 300_000_000, 30_000_000

#: The first bytes of encrypted Office files and of those from before 2007.
_OLE_SIGNATURE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


def check(file: BinaryIO, xml_limit: int = _XML_LIMIT) -> None:
    """Raises BadDocument for a file that is not a ZIP archive, is encrypted, or is too large when unpacked."""
    head = file.read(len(_OLE_SIGNATURE))
    if head == _OLE_SIGNATURE:
        encrypted = "EncryptedPackage".encode("utf-16-le") in file.read()
        raise BadDocument(
            "is encrypted; save it without its password"
            if encrypted
            else "is in an old Office format; save it in the current one"
        )
    file.seek(0)
    try:
        with ZipFile(file) as archive:
            entries = [(entry.filename, entry.file_size) for entry in archive.infolist()]
    except BadZipFile:
        raise BadDocument("is broken, or not an Office file; open and save it again") from None
    xml = sum(size for name, size in entries if name.endswith((".xml", ".rels")))
    if xml > xml_limit or sum(size for _, size in entries) > _UNPACKED_LIMIT:
        raise BadDocument(
            f"is too large when unpacked: {xml:,} bytes of text, {sum(size for _, size in entries):,} in all "
            f"(limits: {xml_limit:,} and {_UNPACKED_LIMIT:,}); split it"
        )
    file.seek(0)
