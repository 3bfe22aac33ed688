"""Which files the model's tools take, and what images are. PURE: names and first bytes in, verdicts out.

For code_interpreter: the table of Azure's Assistants documentation; for file_search: OpenAI's list.
Media types are those registered with IANA where there is one, else the servers' own.
"""

from collections.abc import Sequence
from pathlib import PurePath

_CODE, _SEARCH = "code_interpreter", "file_search"

#: Extension -> media type, and the tools that take such files.
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

#: Of the image types that models see: the extension a file of it is uploaded with.
IMAGE_EXTENSIONS = {"image/png": ".png", "image/jpeg": ".jpg", "image/gif": ".gif", "image/webp": ".webp"}

#: Bytes by which an image is told.
IMAGE_HEAD = 12


def media_type(name: str) -> str:
    """By the file's extension."""
    return _TYPES.get(_extension(name), ("application/octet-stream",))[0]


def extensions(tool: str) -> tuple[str, ...]:
    """Those of the files it takes."""
    return tuple(extension for extension, (_, tools) in _TYPES.items() if tool in tools)


def unfit(name: str, tools: Sequence[str]) -> str | None:
    """Why one of the tools does not take a file of this name, and what to do; None if all take it."""
    extension = _extension(name)
    takers = _TYPES.get(extension, ("", frozenset[str]()))[1]
    refusing = next((tool for tool in tools if tool not in takers), None)
    if refusing is None:
        return None
    kind = f"{extension} files" if extension else "files without an extension"
    remedy = f"attach it for {' or '.join(sorted(takers))}, or convert it" if takers else "convert it"
    return f"{refusing} does not take {kind}; {remedy}: {refusing} takes {' '.join(extensions(refusing))}"


def image_type(head: bytes) -> str | None:
    """The media type of an image that begins so, whatever its name; None if models do not see such images."""
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
