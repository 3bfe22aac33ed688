"""File types that the model's tools accept, and the detection of images. PURE.

Sources: Azure's Assistants documentation for code_interpreter, OpenAI's list for file_search. Media types are
registered with IANA, except those that only the servers use.
"""

from collections.abc import Sequence
from pathlib import PurePath

_CODE, _SEARCH = "code_interpreter", "file_search"

#: Extension -> media type, and the tools that accept such files.
_TYPES: dict[str, tuple[str, frozenset[str]]] = {
    extension: (media_type, frozenset(tools))
    for extension, media_type, *tools in (
        (".c", "text/x-c", _CODE, _SEARCH),
        (".cpp", "text/x-c++", _CODE, _SEARCH),
        (".cs", "text/x-csharp", _SEARCH),
        (".css", "text/css", _CODE, _SEARCH),
        (".csv", "text/csv", _CODE),
        (".doc", "application/msword", _SEARCH),
        (".docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document", _CODE, _SEARCH),
        (".gif", "image/gif", _CODE),
        (".go", "text/x-golang", _SEARCH),
        (".html", "text/html", _CODE, _SEARCH),
        (".java", "text/x-java", _CODE, _SEARCH),
        (".jpeg", "image/jpeg", _CODE),
        (".jpg", "image/jpeg", _CODE),
        (".js", "text/javascript", _CODE, _SEARCH),
        (".json", "application/json", _CODE, _SEARCH),
        (".md", "text/markdown", _CODE, _SEARCH),
        (".pdf", "application/pdf", _CODE, _SEARCH),
        (".php", "text/x-php", _CODE, _SEARCH),
        (".png", "image/png", _CODE),
        (".pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation", _CODE, _SEARCH),
        (".py", "text/x-python", _CODE, _SEARCH),
        (".rb", "text/x-ruby", _CODE, _SEARCH),
        (".sh", "application/x-sh", _SEARCH),
        (".tar", "application/x-tar", _CODE),
        (".tex", "text/x-tex", _CODE, _SEARCH),
        (".ts", "application/typescript", _CODE, _SEARCH),
        (".txt", "text/plain", _CODE, _SEARCH),
        (".xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", _CODE),
        (".xml", "application/xml", _CODE),
        (".zip", "application/zip", _CODE),
    )
}

#: Media types of images that models accept -> the extension of the uploaded file.
IMAGE_EXTENSIONS = {"image/png": ".png", "image/jpeg": ".jpg", "image/gif": ".gif", "image/webp": ".webp"}

#: Number of bytes that `image_type` needs.
IMAGE_HEAD = 12


def media_type(name: str) -> str:
    """Returns the media type for the file's extension."""
    return _TYPES.get(_extension(name), ("application/octet-stream",))[0]


def extensions(tool: str) -> tuple[str, ...]:
    """Returns the extensions of the files that the tool accepts."""
    return tuple(extension for extension, (_, tools) in _TYPES.items() if tool in tools)


def unfit(name: str, tools: Sequence[str]) -> str | None:
    """Returns why one of the tools does not accept a file of this name, and the remedy; None if all accept it."""
    extension = _extension(name)
    takers = _TYPES.get(extension, ("", frozenset[str]()))[1]
    refusing = next((tool for tool in tools if tool not in takers), None)
    if refusing is None:
        return None
    kind = f"{extension} files" if extension else "files without an extension"
    remedy = f"attach it for {' or '.join(sorted(takers))}, or convert it" if takers else "convert it"
    return f"{refusing} does not take {kind}; {remedy}: {refusing} takes {' '.join(extensions(refusing))}"


def image_type(head: bytes) -> str | None:
    """Returns the media type of an image from its first bytes; None if it is not an image that models accept."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "image/webp"
    return None


def _extension(name: str) -> str:
    return PurePath(name).suffix.lower()
